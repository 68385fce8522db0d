# ImageNet-1K and its variants at 224 pixels as the official code reads them. By default 8 processes of 128 images.
# Source: OpenGVLab/InternVL classification/dataset/build.py (build_transform_for_linear_probe).
data_root = "data/imagenet-1k"
# Decoded as there: by Pillow, and not turned by what cameras noted.
load = dict(type="LoadImageFromFile", color_type="color_ignore_orientation", imdecode_backend="pillow")
train_pipeline = [
    load,
    dict(type="RandomResizedCrop", scale=224, backend="pillow", interpolation="bicubic"),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
prepare = [
    dict(type="ResizeEdge", scale=224, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs", meta_keys=("img_path", "variant")),
]
test_pipeline = [load, *prepare]
imagenet = dict(type="ImageNetVariant", variant="imagenet", data_root=data_root, split="val", pipeline=test_pipeline)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="ImageNetVariant", variant="imagenet", data_root=data_root, split="train", pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=imagenet,
)
val_evaluator = dict(type="ImageNetAccuracy")
# Every variant in one run: python tools/test.py CONFIG CHECKPOINT [--only VARIANT ...]
test_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            imagenet,
            dict(type="ImageNetVariant", variant="imagenet_v2", data_root="data/imagenetv2", pipeline=test_pipeline),
            dict(type="ImageNetVariant", variant="imagenet_a", data_root="data/imagenet-a", pipeline=test_pipeline),
            dict(type="ImageNetVariant", variant="imagenet_r", data_root="data/imagenet-r", pipeline=test_pipeline),
            dict(
                type="ImageNetVariant",
                variant="imagenet_sketch",
                data_root="data/imagenet-sketch",
                pipeline=test_pipeline,
            ),
            dict(
                type="ImageNetVariant",
                variant="objectnet",
                data_root="data/objectnet-1.0",
                pipeline=[load, dict(type="RemoveBorder", width=2), *prepare],
            ),
        ],
    ),
)
test_evaluator = dict(type="ImageNetAccuracy", real_labels="timm")
