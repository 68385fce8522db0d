# Linear probing. Published: 36.1 mIoU (arXiv 2412.05271, table 15).
_base_ = "./internvit_6b_224px_linear_frozen_coco_stuff164k-504x504.py"
encoder = "internvit_6b_448px_v1_2"
model = dict(backbone=dict(arch=encoder, init_cfg=dict(checkpoint=encoder)))
