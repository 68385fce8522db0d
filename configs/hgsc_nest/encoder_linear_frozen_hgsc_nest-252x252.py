# Linear probing of a released encoder. Another one (a release or a file): python tools/demo.py --encoder NAME
_base_ = [
    "../_base_/models/linear_frozen.py",
    "../_base_/datasets/hgsc_nest.py",
    "../_base_/default_runtime.py",
]
encoder = "internvit_300m_448px_v2_5"
model = dict(
    data_preprocessor=dict(size=(252, 252), test_cfg=dict(size_divisor=14)),
    backbone=dict(arch=encoder, img_size=252, out_indices=(-1,), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    decode_head=dict(
        in_channels=1024,
        num_classes=4,
        loss_decode=dict(class_weight=[1.0, 3.0, 2.0, 2.0]),
    ),
    test_cfg=dict(_delete_=True, mode="slide", crop_size=(252, 252), stride=(168, 168)),
)
train_dataloader = dict(batch_size=4)
max_iters = 200
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=3e-3, weight_decay=0.0))
param_scheduler = [dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters)]
randomness = dict(seed=0)
