# Heads on ImageNet-1K: blocks, learning rates and both poolings from one pass of the encoder over each of a few views.
_base_ = [
    "../_base_/models/classifier_linear_frozen.py",
    "../_base_/datasets/imagenet_448x448.py",
    "../_base_/classification_runtime.py",
]
encoder = "internvit_6b_448px_v2_5"
model = dict(backbone=dict(arch=encoder, init_cfg=dict(type="Pretrained", checkpoint=encoder)))
randomness = dict(seed=0)
probe = dict(
    blocks=[34, 39, 44],
    views=2,
    iterations=12510,
    batch_size=1024,
    warmup=1251,
    schedule="cosine",
    heads=[
        dict(kind="linear", solver="sgd", lr=[1e-2, 5e-2, 2e-1]),
        dict(kind="linear", solver="lbfgs", weight_decay=[1e-5, 1e-4]),
        dict(kind="ridge", weight_decay=[1e2, 1e4]),
        dict(kind="knn", neighbours=[10, 20]),
    ],
    pictures=12,
)
