# Full tuning: the encoder learns with the UperNet; fp32 weights, computing in bf16, blocks recomputed to save memory.
_base_ = "./upernet_frozen_504x504.py"
model = dict(
    backbone=dict(frozen=False, drop_path_rate=0.4, with_cp=True),
    auxiliary_head=dict(in_index=2),
)
