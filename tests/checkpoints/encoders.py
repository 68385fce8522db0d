"""Small encoders with random weights, as the 6B, as the 300M, and with a position grid that is no square."""

from typing import Any

import torch

from internvl_seg import InternViT

SHAPES: dict[str, dict[str, Any]] = {
    "rms": {},
    "layer_norm": {"norm": "layer_norm", "qkv_bias": True, "qk_norm": False},
    "wide": {"img_size": (28, 70), "norm": "layer_norm", "qkv_bias": True, "qk_norm": False},
}


def random_encoder(shape: str = "rms") -> InternViT:
    """An encoder of three blocks and two heads."""
    made = InternViT(**{"img_size": 42, "embed_dim": 32, "depth": 3, "num_heads": 2} | SHAPES[shape])
    for parameter in made.parameters():  # Norms and LayerScale have equal numbers otherwise.
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()
