# One's own large pictures, such as aerial ones and slides, at their native resolution: nothing is made smaller to fit.
# Trained on crops at 0.75 to 1.33 times the native scale; tested on whole pictures, by sliding windows.
_base_ = "./folder_504x504.py"
crop_size = (504, 504)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    # A crop is cut out before it is scaled: scaling a whole picture first would take as long as the rest of a step.
    dict(
        type="RandomChoice",
        transforms=[
            [
                dict(type="RandomCrop", crop_size=(672, 672), cat_max_ratio=0.75),
                dict(type="Resize", scale_factor=0.75, keep_ratio=True),
            ],
            [dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75)],
            [
                dict(type="RandomCrop", crop_size=(378, 378), cat_max_ratio=0.75),
                dict(type="Resize", scale_factor=4 / 3, keep_ratio=True),
            ],
        ],
    ),
    # Seen from above there is no up; where there is, leave 'vertical' out.
    dict(type="RandomFlip", prob=0.5, direction=["horizontal", "vertical"]),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale_factor=factor, keep_ratio=True) for factor in (0.75, 1.0, 1.25)],
            [
                dict(type="RandomFlip", prob=0.0),
                dict(type="RandomFlip", prob=1.0, direction="horizontal"),
                dict(type="RandomFlip", prob=1.0, direction="vertical"),
            ],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
