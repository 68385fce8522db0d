# Attention pooling of your own images, a folder a class (docs/classification.md).
# To change: num_classes (folders in train) and epochs to the number of images; data_root
# (--cfg-options data_root=FOLDER, or in each data set). No accuracy is published.
_base_ = [
    "../_base_/models/classifier_attention_pooling_frozen.py",
    "../_base_/datasets/imagefolder_448x448.py",
    "../_base_/schedules/adamw_20e.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    backbone=dict(arch=encoder, init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    head=dict(num_classes=2, in_channels=1024),
)
# The schedule is as long as train_cfg says, whatever that is changed to.
auto_scale_schedule = True
