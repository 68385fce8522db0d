"""Adaptive average pooling that a graph can hold for maps of any size."""

import torch
from torch import Tensor, nn

Side = int | None


def _averages(size: int, parts: int, like: Tensor) -> Tensor:
    """Matrix (parts, size) that averages the cells of every part, with PyTorch's bounds of the parts.

    A part goes from floor(i * size / parts) to ceil((i + 1) * size / parts), so neighbours may share a cell.
    """
    part = torch.arange(parts, device=like.device)[:, None]
    cell = torch.arange(size, device=like.device)
    # Rounded up by adding first: ONNX divides integers towards zero, Python downwards; of positive ones both agree.
    first, last = part * size // parts, ((part + 1) * size + parts - 1) // parts
    return ((first <= cell) & (cell < last)).to(like.dtype) / (last - first).to(like.dtype)


class AveragingPool2d(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products.

    The graph of PyTorch's own is a loop over the parts, unrolled for one size of the map.

    Args:
        output_size: Parts down and across, or of both; None in a pair is as many as there are cells.
    """

    def __init__(self, output_size: int | tuple[Side, Side]) -> None:
        super().__init__()
        self.output_size = output_size if isinstance(output_size, tuple) else (output_size, output_size)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, *output_size)."""
        height, width = maps.shape[-2:]
        down, across = self.output_size
        return _averages(height, down or height, maps) @ maps @ _averages(width, across or width, maps).T
