# Full tuning on images, with learning rates that fall with depth. The official code has no recipe for InternViT here: this
# is what EVA and DeiT III tune ViTs of this size with, and not measured yet.
_base_ = "../classification_runtime.py"
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor="LayerDecayOptimWrapperConstructor",
    paramwise_cfg=dict(layer_decay_rate=0.85),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(enable=True, base_batch_size=512)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=True, begin=0, end=3, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", T_max=27, eta_min=0.0, by_epoch=True, begin=3, end=30, convert_to_iter_based=True),
]
train_cfg = dict(type="IterBasedTrainLoop", max_epochs=30, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=1000))
randomness = dict(seed=0)
