# Linear probing with the recipe for ADE20K; no mIoU is published.
# The last block is this project's choice.
_base_ = [
    "../_base_/models/linear_frozen_504x504.py",
    "../_base_/datasets/voc_504x504.py",
    "../_base_/schedules/adamw_80k_linear.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, out_indices=(23,), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    decode_head=dict(in_channels=1024, num_classes=21),
)
