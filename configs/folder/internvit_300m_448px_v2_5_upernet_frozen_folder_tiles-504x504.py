# Head tuning on your own images at their native resolution, such as aerial tiles (docs/own_data.md).
# To change: num_classes (as many as classes.txt has lines), iterations to the number of images, and data_root
# (--cfg-options data_root=FOLDER, or in each data set).
_base_ = [
    "../_base_/recipes/internvit_300m_448px_v2_5_upernet_frozen_504x504.py",
    "../_base_/datasets/folder_tiles_504x504.py",
]
model = dict(decode_head=dict(num_classes=2), auxiliary_head=dict(num_classes=2))
