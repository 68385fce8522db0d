# Tiles of 250x250, enlarged twice: a nucleus is hardly larger than a patch of 14, and its outline is what is scored.
dataset_type = "HGSCNestDataset"
data_root = "data/hgsc_nest"
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", scale_factor=2.0, keep_ratio=True),
    # Tissue has no up or down. The corners that a rotation leaves empty are ignored.
    dict(type="RandomRotate", prob=0.5, degree=180, pad_val=0, seg_pad_val=255),
    dict(type="RandomCrop", crop_size=(252, 252)),
    dict(type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale_factor=2.0, keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="images/train", seg_map_path="annotations/train"),
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="images/test", seg_map_path="annotations/test"),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="SegmentationMetric", iou_metrics=["mIoU"])
test_cfg = dict(type="TestLoop")
