# Head tuning on crops of 504, as the official recipe: the position grid for them, and tests by sliding windows.
_base_ = "./upernet_frozen.py"
model = dict(
    data_preprocessor=dict(size=(504, 504)),
    backbone=dict(img_size=504),
    test_cfg=dict(mode="slide", crop_size=(504, 504), stride=(322, 322)),
)
