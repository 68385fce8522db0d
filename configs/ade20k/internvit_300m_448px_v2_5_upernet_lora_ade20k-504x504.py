# Head tuning with low-rank adapters in the encoder; no mIoU is published.
# Rank and learning rate are this project's choice.
_base_ = [
    "../_base_/models/upernet_frozen_504x504.py",
    "../_base_/datasets/ade20k_504x504.py",
    "../_base_/schedules/adamw_80k_lora.py",
]
encoder = "internvit_300m_448px_v2_5"
init_cfg = dict(type="Pretrained", checkpoint=encoder)
model = dict(
    backbone=dict(arch=encoder, out_indices=(5, 11, 17, 23), lora=dict(rank=16), with_cp=True, init_cfg=init_cfg),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024] * 4, num_classes=150),
    auxiliary_head=dict(in_channels=1024, num_classes=150),
)
