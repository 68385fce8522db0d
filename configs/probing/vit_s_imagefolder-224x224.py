# Every kind of head for whole images on a frozen ViT-S/14, on a folder of one subfolder a class: a template for one's own.
_base_ = [
    "../_base_/models/classifier_linear_frozen.py",
    "../_base_/datasets/imagefolder_224x224.py",
    "../_base_/classification_runtime.py",
]
vit_s = dict(embed_dim=384, depth=12, num_heads=6, norm="layer_norm", qkv_bias=True, qk_norm=False, img_size=518)
model = dict(
    backbone=dict(
        arch=vit_s, init_cfg=dict(type="Pretrained", checkpoint="checkpoints/vit_small_patch14_518.safetensors")
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
