# The official schedule for linear probing: without weight decay.
_base_ = "./adamw_80k.py"
optim_wrapper = dict(optimizer=dict(weight_decay=0.0))
