# Attention pooling of ImageNet-1K.
_base_ = [
    "../_base_/models/classifier_attention_pooling_frozen_mixup.py",
    "../_base_/datasets/imagenet_224x224.py",
    "../_base_/schedules/sgd_10e_ema.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, img_size=224, init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    head=dict(num_classes=1000, in_channels=1024, pool_heads=16),
)
