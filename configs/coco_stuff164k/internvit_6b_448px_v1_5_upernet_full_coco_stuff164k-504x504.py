# Full tuning. Published: 51.5 mIoU (arXiv 2412.05271, table 15).
_base_ = "./internvit_6b_224px_upernet_full_coco_stuff164k-504x504.py"
encoder = "internvit_6b_448px_v1_5"
model = dict(backbone=dict(arch=encoder, out_indices=(11, 22, 33, 44), init_cfg=dict(checkpoint=encoder)))
