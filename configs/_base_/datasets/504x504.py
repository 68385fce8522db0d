# Pipelines and loaders of the official recipe, for any data set of images with masks. By default 8 processes of 2 images.
# Source: OpenGVLab/InternVL segmentation/configs/_base_/datasets/ade20k_504x504.py.
crop_size = (504, 504)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(2016, 504), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
# Short side to the crop, then both sides up to a multiple of the patch.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeShortestEdge", scale=504, max_size=100000),
    dict(type="ResizeToMultiple", size_divisor=14),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="ResizeShortestEdge", scale=scale, max_size=100000) for scale in (252, 378, 504, 630, 756, 882)],
            [dict(type="ResizeToMultiple", size_divisor=14)],
            [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
tta_model = dict(type="StreamingTTAModel")
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="SegmentationMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
