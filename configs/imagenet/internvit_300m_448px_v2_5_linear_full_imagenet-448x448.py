# Full tuning on ImageNet-1K: encoder and linear head learn, deep blocks faster than shallow ones.
_base_ = [
    "../_base_/models/classifier_linear_frozen_mixup.py",
    "../_base_/datasets/imagenet_448x448.py",
    "../_base_/schedules/adamw_30e_layer_decay.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(
        arch=encoder,
        frozen=False,
        drop_path_rate=0.2,
        with_cp=True,
        init_cfg=dict(type="Pretrained", checkpoint=encoder),
    ),
    head=dict(num_classes=1000, in_channels=1024),
)
