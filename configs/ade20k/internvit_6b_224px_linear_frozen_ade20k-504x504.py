# Linear probing. Published: 47.2 mIoU (arXiv 2412.05271, table 15).
_base_ = [
    "../_base_/models/linear_frozen.py",
    "../_base_/datasets/ade20k_504x504.py",
    "../_base_/schedules/adamw_80k.py",
]
encoder = "internvit_6b_224px"
model = dict(
    data_preprocessor=dict(size=(504, 504)),
    backbone=dict(arch=encoder, img_size=504, out_indices=(44,), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    decode_head=dict(in_channels=3200, num_classes=150),
    test_cfg=dict(mode="slide", crop_size=(504, 504), stride=(322, 322)),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.0))
