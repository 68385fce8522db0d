"""Features in 8 bits, with a scale per channel of a map."""

import torch
from torch import Tensor

_STEPS = 127


def quantize(features: Tensor) -> tuple[Tensor, Tensor]:
    """Round a map to 255 levels per channel.

    Args:
        features: (..., C), of any floating dtype.

    Returns:
        int8 of the same shape, and the scale of every channel, (C,) float32: their product is within half a scale,
        1/254 of the channel's largest magnitude, of ``features``.
    """
    values = features.float()
    scale = values.abs().flatten(0, -2).amax(0) / _STEPS
    # A channel of zeros stays one.
    levels = (values / scale.where(scale > 0, torch.ones_like(scale))).round().to(torch.int8)
    return levels, scale


def dequantize(levels: Tensor, scale: Tensor) -> Tensor:
    """The features, (..., C) float32, that levels and scale stand for."""
    return levels.float() * scale
