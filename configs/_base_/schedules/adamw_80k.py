# The official schedule: 80k iterations of 16 images, linear warm-up over 1500, then linear decay to 0.
# With fewer than 8 processes of 2 images, keep the 16: optim_wrapper.accumulative_counts = 8 / processes, and that many
# times the iterations in train_cfg, param_scheduler and default_hooks.checkpoint.
# Source: OpenGVLab/InternVL segmentation/configs/intern_vit_6b.
_base_ = "../default_runtime.py"
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=4e-5, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay for 1-D parameters.
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
# Both act from the first iteration, as warm-up scaled the decaying rate in MMCV 1; MMEngine counts one iteration less.
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=80001),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=80000, val_interval=1000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=2, save_best="mIoU"))
