# A small InternViT trained from scratch in minutes on a CPU: what `make demo` runs.
_base_ = ["../_base_/datasets/hgsc_nest.py", "../_base_/default_runtime.py"]
model = dict(
    type="StreamingEncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(252, 252),
        test_cfg=dict(size_divisor=14),
    ),
    backbone=dict(
        type="InternViT",
        arch=dict(embed_dim=192, depth=6, num_heads=3, norm="layer_norm", qkv_bias=True, qk_norm=False),
        img_size=252,
        out_indices=(2, 3, 4, 5),
    ),
    neck=dict(type="FeaturePyramid", embed_dim=192),
    # Semantic FPN (arXiv 1901.02446): the sum of the four maps, much cheaper on a CPU than UperNet.
    decode_head=dict(
        type="FPNHead",
        in_index=[0, 1, 2, 3],
        in_channels=[192, 192, 192, 192],
        feature_strides=[4, 8, 16, 32],
        channels=32,
        dropout_ratio=0.1,
        num_classes=4,
        norm_cfg=dict(type="BN"),
        # Nuclei cover a fifth of the tissue, those of connective tissue a twentieth.
        loss_decode=dict(type="CrossEntropyLoss", class_weight=[1.0, 3.0, 2.0, 2.0]),
    ),
    test_cfg=dict(mode="slide", crop_size=(252, 252), stride=(168, 168)),
)
max_iters = 240
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=40, end=max_iters, eta_min=0.0),
]
randomness = dict(seed=0)
