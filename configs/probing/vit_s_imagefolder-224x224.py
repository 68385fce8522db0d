# Every kind of head for whole images on a frozen ViT-S/14, on a folder of one subfolder a class: a template for one's own.
# Images as the official classifiers see them (OpenGVLab/InternVL classification/): bicubic, test crop 1.0.
custom_imports = dict(imports=["internvl_seg", "mmpretrain.datasets", "mmpretrain.models"], allow_failed_imports=False)
default_scope = "mmpretrain"
data_root = "data/imagefolder"
vit_s = dict(embed_dim=384, depth=12, num_heads=6, norm="layer_norm", qkv_bias=True, qk_norm=False, img_size=518)
model = dict(
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type="InternViT",
        frozen=True,
        dtype="bfloat16",
        arch=vit_s,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/vit_small_patch14_518.safetensors"),
    ),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=224, backend="pillow", interpolation="bicubic"),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=224, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    dataset=dict(
        type="CustomDataset",
        data_root=data_root,
        data_prefix=dict(img_path="train"),
        with_label=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="CustomDataset",
        data_root=data_root,
        data_prefix=dict(img_path="val"),
        with_label=True,
        pipeline=test_pipeline,
    ),
)
randomness = dict(seed=0)
probe = dict(
    blocks=[11, [8, 9, 10, 11]],
    views=8,
    iterations=200,
    batch_size=64,
    warmup=20,
    schedule="cosine",
    heads=[
        dict(kind="linear", solver="sgd", lr=[1e-3, 1e-2, 1e-1]),
        dict(kind="linear", solver="lbfgs", weight_decay=[1e-3, 1e-2, 1e-1]),
        dict(kind="attention_pooling", solver="adamw", lr=[1e-3]),
        dict(kind="ridge", weight_decay=[1e1, 1e3, 1e5]),
        dict(kind="knn", neighbours=[1, 4, 10]),
    ],
    few_shot=dict(per_class=[1, 2], draws=3),
    pictures=12,
)
