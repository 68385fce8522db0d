# Full tuning on your own images, a folder a class (docs/classification.md).
# To change: num_classes (folders in train; in two places) and epochs to the number of images; data_root
# (--cfg-options data_root=FOLDER, or in each data set).
# No accuracy is published.
_base_ = [
    "../_base_/models/classifier_linear_frozen_mixup.py",
    "../_base_/datasets/imagefolder_448x448.py",
    "../_base_/schedules/adamw_30e_layer_decay.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    data_preprocessor=dict(num_classes=2),
    backbone=dict(
        arch=encoder,
        frozen=False,
        drop_path_rate=0.2,
        with_cp=True,
        init_cfg=dict(type="Pretrained", checkpoint=encoder),
    ),
    head=dict(num_classes=2, in_channels=1024),
)
# The schedule is as long as train_cfg says, whatever that is changed to.
auto_scale_schedule = True
