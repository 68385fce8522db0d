# Linear probing of a frozen ViT-S/14 (DINOv2's architecture, official names) on its last block, a few minutes on a CPU.
_base_ = [
    "../_base_/models/linear_frozen.py",
    "../_base_/datasets/camvid.py",
    "../_base_/default_runtime.py",
]
vit_s = dict(embed_dim=384, depth=12, num_heads=6, norm="layer_norm", qkv_bias=True, qk_norm=False, img_size=518)
model = dict(
    data_preprocessor=dict(size=(378, 504)),
    backbone=dict(
        arch=vit_s,
        out_indices=(11,),
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/vit_small_patch14_518.safetensors"),
    ),
    decode_head=dict(in_channels=384, num_classes=11),
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=5e-3, weight_decay=0.0))
param_scheduler = [dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=300)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=300, val_interval=300)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=300))
randomness = dict(seed=0)
