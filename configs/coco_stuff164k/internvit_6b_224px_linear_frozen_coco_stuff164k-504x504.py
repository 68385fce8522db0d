# Linear probing. Published: 42.8 mIoU (arXiv 2412.05271, table 15).
_base_ = [
    "../_base_/models/linear_frozen_504x504.py",
    "../_base_/datasets/coco_stuff164k_504x504.py",
    "../_base_/schedules/adamw_80k_linear.py",
]
encoder = "internvit_6b_224px"
model = dict(
    backbone=dict(arch=encoder, out_indices=(44,), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    decode_head=dict(in_channels=3200, num_classes=171),
)
