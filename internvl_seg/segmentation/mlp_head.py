"""A small MLP on dense features."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .linear_head import LinearHead


@MODELS.register_module()
class MLPHead(LinearHead):
    """A linear head with one hidden layer: BatchNorm, 1x1 convolution, GELU, 1x1 convolution.

    Parameters are those of :class:`LinearHead` and ``first.*``.

    Args:
        hidden_channels: Of the hidden layer.
        **kwargs: Arguments of :class:`LinearHead`.
    """

    def __init__(self, hidden_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = nn.Conv2d(self.norm.num_features, hidden_channels, kernel_size=1)
        self.conv_seg = nn.Conv2d(hidden_channels, self.out_channels, kernel_size=1)
        self.channels: int = hidden_channels

    def features(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the backbone's maps, (B, C, h, w) each, to what ``conv_seg`` makes logits of, (B, hidden, h, w)."""
        return F.gelu(self.first(super().features(inputs)))
