# Attention pooling of ImageNet-1K.
_base_ = [
    "../_base_/models/classifier_attention_pooling_frozen_mixup.py",
    "../_base_/datasets/imagenet_224x224.py",
    "../_base_/schedules/sgd_10e_ema.py",
]
encoder = "internvit_6b_448px_v1_0"
# Classification, too, uses the first 45 of its 48 blocks.
model = dict(
    backbone=dict(
        arch=dict(depth=45, img_size=448),
        img_size=224,
        init_cfg=dict(type="Pretrained", checkpoint=encoder),
    ),
    head=dict(num_classes=1000, in_channels=3200, pool_heads=25),
)
