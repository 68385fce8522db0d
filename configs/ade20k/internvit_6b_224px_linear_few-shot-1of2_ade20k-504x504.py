# Few-shot, 1/2 of the training images. Published: 55.8 mIoU (arXiv 2312.14238).
_base_ = "./internvit_6b_224px_linear_few-shot-1of16_ade20k-504x504.py"
max_iters = 40000
warm_up = dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=101)
train_dataloader = dict(dataset=dict(indices=20210 // 2))
train_cfg = dict(max_iters=max_iters)
param_scheduler = [warm_up, dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1)]
