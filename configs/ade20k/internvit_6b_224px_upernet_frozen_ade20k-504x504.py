# Head tuning. Published: 54.9 mIoU (arXiv 2412.05271, table 15).
_base_ = [
    "../_base_/models/upernet_frozen_504x504.py",
    "../_base_/datasets/ade20k_504x504.py",
    "../_base_/schedules/adamw_80k.py",
]
encoder = "internvit_6b_224px"
model = dict(
    backbone=dict(arch=encoder, out_indices=(11, 23, 35, 47), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    neck=dict(embed_dim=3200),
    decode_head=dict(in_channels=[3200] * 4, num_classes=150),
    auxiliary_head=dict(in_channels=3200, num_classes=150),
)
