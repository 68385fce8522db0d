# Full tuning. Published: 51.7 mIoU (arXiv 2412.05271, table 15).
_base_ = "./internvit_6b_224px_upernet_full_coco_stuff164k-504x504.py"
# Segmentation uses the first 45 of its 48 blocks.
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depth=45, img_size=448),
        out_indices=(11, 22, 33, 44),
        init_cfg=dict(checkpoint="internvit_6b_448px_v1_0"),
    ),
)
