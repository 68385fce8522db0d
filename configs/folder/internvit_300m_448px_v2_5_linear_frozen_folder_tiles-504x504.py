# Linear probing on your own images at their native resolution, such as aerial tiles (docs/own_data.md).
# To change: num_classes (as many as classes.txt has lines), iterations to the number of images, and data_root
# (--cfg-options data_root=FOLDER, or in each data set).
# The last block is this project's choice; no mIoU is published.
_base_ = [
    "../_base_/models/linear_frozen_504x504.py",
    "../_base_/datasets/folder_tiles_504x504.py",
    "../_base_/schedules/adamw_80k_linear.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, out_indices=(23,), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    decode_head=dict(in_channels=1024, num_classes=2),
)
# The schedule is as long as train_cfg says, whatever that is changed to.
auto_scale_schedule = True
