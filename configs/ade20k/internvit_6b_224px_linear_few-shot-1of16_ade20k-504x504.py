# Few-shot, 1/16 of the training images. Published: 46.5 mIoU (arXiv 2312.14238).
_base_ = [
    "../_base_/models/linear_full_504x504.py",
    "../_base_/datasets/ade20k_504x504.py",
    "../_base_/schedules/adamw_few_shot.py",
]
encoder = "internvit_6b_224px"
model = dict(
    backbone=dict(arch=encoder, out_indices=(47,), init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    decode_head=dict(in_channels=3200, num_classes=150),
)
train_dataloader = dict(dataset=dict(indices=20210 // 16))
model_wrapper_cfg = dict(type="FullyShard")
