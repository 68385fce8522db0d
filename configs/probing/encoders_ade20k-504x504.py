# InternViT, DINOv2, DINOv3, EVA-02 and SigLIP 2 side by side under one protocol: the last block and four of them, ADE20K.
# Encoders of patch 16 see 504 x 504 resized to 512 x 512, so that every map covers the same crop.
_base_ = "../ade20k/internvit_300m_448px_v2_5_linear_frozen_ade20k-504x504.py"
hub = dict(type="Pretrained", checkpoint="hub")
probe = dict(
    blocks=[-1, [-19, -13, -7, -1]],
    encoders=dict(
        internvit_300m_v2_5=dict(),
        dinov2_l=dict(type="TimmViT", arch="vit_large_patch14_dinov2.lvd142m", dtype="bfloat16", init_cfg=hub),
        dinov3_l=dict(type="TimmViT", arch="vit_large_patch16_dinov3.lvd1689m", dtype="bfloat16", init_cfg=hub),
        eva02_l=dict(type="TimmViT", arch="eva02_large_patch14_448.mim_m38m_ft_in22k", dtype="bfloat16", init_cfg=hub),
        siglip2_l=dict(type="TimmViT", arch="vit_large_patch16_siglip_512.v2_webli", dtype="bfloat16", init_cfg=hub),
    ),
    iterations=40000,
    batch_size=16,
    warmup=1500,
    heads=[dict(kind="linear", lr=[1e-4, 3e-4, 1e-3, 3e-3])],
    store=dict(dtype="int8"),
)
