# Head tuning with the recipe for ADE20K; no mIoU is published.
# Taps at a quarter, half, three quarters and the last block are this project's choice.
_base_ = [
    "../_base_/models/upernet_frozen_504x504.py",
    "../_base_/datasets/cityscapes_504x504.py",
    "../_base_/schedules/adamw_80k.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, out_indices=(5, 11, 17, 23), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024] * 4, num_classes=19),
    auxiliary_head=dict(in_channels=1024, num_classes=19),
)
