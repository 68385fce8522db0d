# Linear probing of a frozen ViT-S/14 (DINOv2's architecture, official names) on its last block, minutes on a CPU.
# The encoder takes nearly all the time, so small batches and a high learning rate give a linear head the most steps for it.
# Classes are weighted by the square root of SegNet's median-frequency balancing (arXiv 1511.00561, section 3.1): poles
# are 1 pixel in 100 and would hardly be learned in so few steps; the whole weight costs the common classes too much.
# Batch, learning rate and root were chosen on the validation images.
_base_ = [
    "../_base_/models/linear_frozen.py",
    "../_base_/datasets/camvid.py",
    "../_base_/default_runtime.py",
]
vit_s = dict(embed_dim=384, depth=12, num_heads=6, norm="layer_norm", qkv_bias=True, qk_norm=False, img_size=518)
# In the order of CamVidDataset: sky, building, pole, road, pavement, tree, sign symbol, fence, car, pedestrian, bicyclist.
class_weight = [0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.41, 0.89, 2.52, 2.98]
model = dict(
    data_preprocessor=dict(size=(378, 504)),
    backbone=dict(
        arch=vit_s,
        out_indices=(11,),
        init_cfg=dict(type="Pretrained", checkpoint="checkpoints/vit_small_patch14_518.safetensors"),
    ),
    decode_head=dict(in_channels=384, num_classes=11, loss_decode=dict(class_weight=class_weight)),
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1.5e-2, weight_decay=0.0))
train_dataloader = dict(batch_size=2)
param_scheduler = [dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=500)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=500, val_interval=500)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(interval=500))
randomness = dict(seed=0)
