# A template for one's own images: which blocks of InternViT-300M are good for them, and does a larger head pay?
_base_ = "../folder/internvit_300m_448px_v2_5_linear_frozen_folder-504x504.py"
probe = dict(
    blocks=[5, 11, 17, 23, [5, 11, 17, 23]],
    views=4,
    iterations=4000,
    batch_size=16,
    warmup=100,
    heads=[
        dict(kind="linear", lr=[1e-3, 3e-3, 1e-2]),
        dict(kind="mlp", channels=256, lr=[1e-3]),
    ],
    few_shot=dict(fractions=[0.1, 0.25], draws=3),
    repeat=dict(best=1, seeds=[0, 1, 2]),
)
