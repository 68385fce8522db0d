# Head tuning; no mIoU is published.
# Taps at a quarter, half, three quarters and the last block are this project's choice.
_base_ = "./internvit_6b_224px_upernet_frozen_coco_stuff164k-504x504.py"
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, out_indices=(5, 11, 17, 23), init_cfg=dict(checkpoint=encoder)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024] * 4),
    auxiliary_head=dict(in_channels=1024),
)
