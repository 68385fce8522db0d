# Head tuning of InternViT-300M V2.5 on a data set that the config names, with its number of classes.
# Taps at a quarter, half, three quarters and the last block are this project's choice; no mIoU is published.
_base_ = ["../models/upernet_frozen_504x504.py", "../schedules/adamw_80k.py"]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, out_indices=(5, 11, 17, 23), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024] * 4),
    auxiliary_head=dict(in_channels=1024),
)
# The schedule is as long as train_cfg says, whatever that is changed to.
auto_scale_schedule = True
