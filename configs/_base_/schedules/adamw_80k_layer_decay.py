# The official schedule for a tuned encoder: learning rates that fall by a twentieth with every block below the head.
_base_ = "./adamw_80k.py"
optim_wrapper = dict(
    constructor="LayerDecayOptimWrapperConstructor",
    paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.95),
)
