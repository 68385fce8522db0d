# The same on four blocks, concatenated.
_base_ = "./vit_s_linear_frozen_camvid-378x504.py"
model = dict(
    backbone=dict(out_indices=(2, 5, 8, 11)),
    decode_head=dict(in_channels=[384] * 4, in_index=[0, 1, 2, 3]),
)
