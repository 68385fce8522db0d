# Head tuning with the recipe for ADE20K; no mIoU is published.
_base_ = [
    "../_base_/models/upernet_frozen_504x504.py",
    "../_base_/datasets/voc_504x504.py",
    "../_base_/schedules/adamw_80k.py",
]
encoder = "internvit_6b_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, out_indices=(11, 22, 33, 44), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    neck=dict(embed_dim=3200),
    decode_head=dict(in_channels=[3200] * 4, num_classes=21),
    auxiliary_head=dict(in_channels=3200, num_classes=21),
)
