# Linear probing; no mIoU is published.
# The last block is this project's choice.
_base_ = "./internvit_6b_224px_linear_frozen_coco_stuff164k-504x504.py"
encoder = "internvit_300m_448px"
model = dict(
    backbone=dict(arch=encoder, out_indices=(23,), init_cfg=dict(checkpoint=encoder)),
    decode_head=dict(in_channels=1024),
)
