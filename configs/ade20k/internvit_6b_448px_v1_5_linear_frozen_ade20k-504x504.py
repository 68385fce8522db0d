# Linear probing. Published: 40.9 mIoU (arXiv 2412.05271, table 15).
_base_ = "./internvit_6b_224px_linear_frozen_ade20k-504x504.py"
encoder = "internvit_6b_448px_v1_5"
model = dict(backbone=dict(arch=encoder, init_cfg=dict(checkpoint=encoder)))
