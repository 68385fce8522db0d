# Which block, or set of blocks, of a frozen ViT-S/14 makes the best linear head? All at once, on cached features.
_base_ = "../camvid/vit_s_linear_frozen_camvid-378x504.py"
probe = dict(
    blocks=[*range(12), [2, 5, 8, 11]],
    views=2,
    iterations=1000,
    batch_size=16,
    heads=[dict(kind="linear", lr=[1e-3, 3e-3, 1e-2, 3e-2])],
    repeat=dict(best=3, seeds=[0, 1, 2]),
)
