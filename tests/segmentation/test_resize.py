"""Resizing by matrix products is PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.segmentation.resize import Taps, bilinear_taps, resize_bilinear

SIDES = st.integers(1, 70)


@given(SIDES, SIDES, SIDES, SIDES, st.booleans())
def test_it_is_what_pytorch_gives(height: int, width: int, to_height: int, to_width: int, align: bool) -> None:
    maps = torch.randn(2, 3, height, width)
    want = F.interpolate(maps, (to_height, to_width), mode="bilinear", align_corners=align)
    torch.testing.assert_close(resize_bilinear(maps, (to_height, to_width), align), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize(("size", "to"), [(36, 504), (2048, 3000), (3000, 2048), (4097, 1500), (1, 9), (9, 1), (7, 7)])
def test_the_weights_are_pytorchs_also_far_from_the_start(size: int, to: int, align: bool) -> None:
    # Weights from exact positions are off by 1e-4 there.
    signal = torch.randn(1, 4, size, 1)
    want = F.interpolate(signal, (to, 1), mode="bilinear", align_corners=align)[0, :, :, 0].double()
    taps = bilinear_taps(size, to, align)
    got = (signal[0, :, :, 0].double()[:, taps.index] * taps.weight).sum(-1)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


def test_gradients_are_pytorchs() -> None:
    maps = torch.randn(1, 2, 5, 3, requires_grad=True)
    weight = torch.randn(1, 2, 14, 9)
    (want,) = torch.autograd.grad((F.interpolate(maps, (14, 9), mode="bilinear") * weight).sum(), maps)
    (got,) = torch.autograd.grad((resize_bilinear(maps, (14, 9)) * weight).sum(), maps)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@given(SIDES, SIDES, SIDES)
def test_products_of_taps_are_products_of_matrices(first: int, second: int, third: int) -> None:
    def dense(taps: Taps, size: int) -> torch.Tensor:
        matrix, used = taps.block(slice(None))
        return torch.zeros(len(matrix), size).index_copy(1, used, matrix)

    a, b = bilinear_taps(first, second, False), bilinear_taps(second, third, True)
    torch.testing.assert_close(dense(b.after(a), first), dense(b, second) @ dense(a, first))


def test_a_block_holds_the_inputs_that_it_uses_and_no_other() -> None:
    taps = bilinear_taps(100, 1000, False)
    matrix, used = taps.block(slice(500, 510))
    assert used.tolist() == [49, 50, 51]  # Positions 49.55 to 50.45.
    assert matrix.shape == (10, 3)
    torch.testing.assert_close(matrix.sum(1), torch.ones(10))
