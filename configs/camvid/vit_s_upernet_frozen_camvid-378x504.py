# UperNet on four blocks of the frozen ViT-S/14, minutes on a CPU: a narrow head, otherwise as on ADE20K.
# Class weights as in the linear probe; channels, learning rate and iterations were chosen on the validation images.
_base_ = [
    "../_base_/models/upernet_frozen.py",
    "../_base_/datasets/camvid.py",
    "../_base_/default_runtime.py",
]
vit_s = dict(embed_dim=384, depth=12, num_heads=6, norm="layer_norm", qkv_bias=True, qk_norm=False, img_size=518)
class_weight = [0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.52, 2.98]
model = dict(
    data_preprocessor=dict(size=(378, 504)),
    backbone=dict(
        arch=vit_s,
        out_indices=(2, 5, 8, 11),
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/vit_small_patch14_518.safetensors"),
    ),
    neck=dict(embed_dim=384),
    decode_head=dict(in_channels=[384] * 4, channels=64, num_classes=11, loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(in_channels=384, channels=64, num_classes=11, loss_decode=dict(class_weight=class_weight)),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
train_dataloader = dict(batch_size=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=800),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=800, val_interval=800)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=100))
randomness = dict(seed=0)
