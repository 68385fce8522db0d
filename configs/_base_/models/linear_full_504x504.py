# The linear head on an encoder that is tuned with it: fp32 weights, computing in bf16, blocks recomputed to save memory.
_base_ = "./linear_frozen_504x504.py"
model = dict(backbone=dict(frozen=False, drop_path_rate=0.4, with_cp=True))
