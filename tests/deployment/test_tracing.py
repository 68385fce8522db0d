import pytest
import torch
from torch import Tensor, nn

from internvl_seg.deployment import ExportError
from internvl_seg.deployment.tracing import trace


class Graph(nn.Module):
    """Images of any size, as long as no more is asked of them."""

    channels, multiple = 3, 1

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images * 2,)


def test_a_program_takes_any_number_and_size() -> None:
    program = trace(Graph()).module()
    for shape in ((1, 3, 1, 1), (4, 3, 7, 300)):
        images = torch.randn(shape)
        torch.testing.assert_close(program(images)[0], images * 2)


def test_a_module_of_one_size() -> None:
    class OneNumber(Graph):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (images.reshape(2, -1),)

    class OneHeight(Graph):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (images / torch.arange(1, (images.shape[2] + 1) // 2 + 1).reshape(31),)

    for module in (OneNumber(), OneHeight()):
        with pytest.raises(ExportError, match=r"images of (any|one) size"):
            trace(module)
