# Linear probing of ImageNet-1K. Published: 88.23 top-1 (https://github.com/OpenGVLab/InternVL, classification/README.md).
_base_ = [
    "../_base_/models/classifier_linear_frozen_mixup.py",
    "../_base_/datasets/imagenet_224x224.py",
    "../_base_/schedules/sgd_10e.py",
]
encoder = "internvit_6b_224px"
model = dict(
    backbone=dict(arch=encoder, init_cfg=dict(type="Pretrained", checkpoint=encoder)),
    head=dict(num_classes=1000, in_channels=3200),
)
test_evaluator = dict(
    published=dict(
        source="https://github.com/OpenGVLab/InternVL, classification/README.md",
        imagenet=(88.230, 98.474),
        imagenet_real=(90.439, 98.572),
        imagenet_v2=(79.960, 95.340),
        imagenet_a=(77.479, 92.724),
        imagenet_r=(89.783, 97.023),
        imagenet_sketch=(69.102, 88.333),
    ),
)
