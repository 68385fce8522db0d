# The official few-shot schedule: layer decay, a warm-up over 100 iterations, 5000 iterations for a sixteenth of ADE20K.
_base_ = "./adamw_80k_layer_decay.py"
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=101),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=5001),
]
train_cfg = dict(max_iters=5000)
