# Linear probing of a frozen ViT-S/14 (DINOv2's architecture, official names) on 50 classes of 4 images, minutes on a CPU.
_base_ = [
    "../_base_/models/classifier_linear_frozen.py",
    "../_base_/datasets/imagefolder_224x224.py",
    "../_base_/schedules/adamw_20e.py",
]
vit_s = dict(embed_dim=384, depth=12, num_heads=6, norm="layer_norm", qkv_bias=True, qk_norm=False, img_size=518)
model = dict(
    backbone=dict(
        arch=vit_s,
        img_size=224,
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/vit_small_patch14_518.safetensors"),
    ),
    head=dict(num_classes=50, in_channels=384),
)
# BatchNorm before the layer takes a higher one than attention.
optim_wrapper = dict(optimizer=dict(lr=3e-3))
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
# The schedule is as long as train_cfg says, whatever that is changed to.
auto_scale_schedule = True
