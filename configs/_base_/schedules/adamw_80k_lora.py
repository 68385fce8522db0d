# The official schedule with ten times its learning rate, which adapters that begin at zero need.
_base_ = "./adamw_80k.py"
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"lora_": dict(lr_mult=10.0, decay_mult=0.0)}))
