# The official schedule for probing: SGD, learning rate 0.1 per 512 images of a batch, 1 epoch of warm-up, cosine.
# The gradient's norm is limited to 5. Source: OpenGVLab/InternVL classification/config.py and configs/*_probing.
_base_ = "../classification_runtime.py"
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.0),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(enable=True, base_batch_size=512)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    # Over all epochs, not from the end of the warm-up (timm's CosineLRScheduler without warmup_prefix).
    dict(type="CosineAnnealingLR", T_max=10, eta_min=0.0, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
]
train_cfg = dict(type="IterBasedTrainLoop", max_epochs=10, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=1000))
randomness = dict(seed=0)
