# The official linear probe of InternViT-6B-448px-V2_5 on ADE20K, its learning rate and four more, on cached features.
_base_ = "../ade20k/internvit_6b_448px_v2_5_linear_frozen_ade20k-504x504.py"
probe = dict(
    blocks=[44],
    views=1,
    iterations=80000,
    batch_size=16,
    warmup=1500,
    precision="bfloat16",
    heads=[dict(kind="linear", lr=[4e-5, 1e-4, 3e-4, 1e-3, 3e-3])],
)
