"""PyTorch's own pooling is the second opinion."""

import pytest
import torch
from torch import nn

from internvl_seg.deployment.pooling import AveragingPool2d


@pytest.mark.parametrize("output_size", [1, 2, 3, 6, (2, 5), (None, 3)])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (5, 6), (13, 12), (18, 31)])
def test_it_is_adaptive_average_pooling(
    output_size: int | tuple[int | None, int | None], size: tuple[int, int]
) -> None:
    maps = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = nn.AdaptiveAvgPool2d(output_size)(maps)
    torch.testing.assert_close(AveragingPool2d(output_size)(maps), expected, rtol=0, atol=1e-14)
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(AveragingPool2d(output_size)(maps.float()), expected.float(), **close)
