# A probe of a folder of one's own, also of few images: AdamW, 20 epochs, without mixing of images. The official SGD of
# sgd_10e.py is made for 1.28 million of them.
_base_ = "../classification_runtime.py"
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", T_max=19, eta_min=0.0, by_epoch=True, begin=1, end=20, convert_to_iter_based=True),
]
train_cfg = dict(type="IterBasedTrainLoop", max_epochs=20, val_interval=5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=100))
randomness = dict(seed=0)
