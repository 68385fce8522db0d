# Linear probing of ImageNet-1K.
_base_ = [
    "../_base_/models/classifier_linear_frozen_mixup.py",
    "../_base_/datasets/imagenet_448x448.py",
    "../_base_/schedules/sgd_10e_ema.py",
]
encoder = "internvit_6b_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    head=dict(num_classes=1000, in_channels=3200),
)
