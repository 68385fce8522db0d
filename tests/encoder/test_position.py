"""Resizing position and patch embeddings."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from internvl_seg.encoder.position import resize_patch_embed, resize_pos_embed

sides = st.integers(1, 7)


def cubic(old: int, new: int) -> Tensor:
    """(new, old) matrix of bicubic interpolation along one side: a = -0.75, half-pixel centres, clamped border."""

    def weight(distance: float) -> float:
        a, d = -0.75, abs(distance)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    matrix = torch.zeros(new, old, dtype=torch.double)
    for row in range(new):
        centre = (row + 0.5) * old / new - 0.5
        first = int(centre // 1) - 1
        for column in range(first, first + 4):
            matrix[row, min(max(column, 0), old - 1)] += weight(centre - column)
    return matrix


class TestPosEmbed:
    """The grid is resized, CLS is not."""

    @given(rows=sides, columns=sides, new_rows=sides, new_columns=sides)
    def test_bicubic_per_side(
        self, rows: int, columns: int, new_rows: int, new_columns: int, close: Callable[..., None]
    ) -> None:
        embed = torch.randn(1, 1 + rows * columns, 4)
        got = resize_pos_embed(embed, (rows, columns), (new_rows, new_columns))
        grid = embed[0, 1:].unflatten(0, (rows, columns)).double()
        want = torch.einsum("ir,js,rsc->ijc", cubic(rows, new_rows), cubic(columns, new_columns), grid)
        assert got.shape == (1, 1 + new_rows * new_columns, 4)
        assert torch.equal(got[:, 0], embed[:, 0])
        close(got[0, 1:], want.flatten(0, 1).float())

    @given(rows=sides, columns=sides)
    def test_same_grid_gives_the_same_bits(self, rows: int, columns: int) -> None:
        # InternViT leaves out a branch in compiled graphs because of this.
        for dtype in (torch.float32, torch.bfloat16):
            embed = torch.randn(1, 1 + rows * columns, 4).to(dtype)
            assert torch.equal(resize_pos_embed(embed, (rows, columns), (rows, columns)), embed)

    def test_computed_in_fp32(self) -> None:
        embed = torch.randn(1, 17, 8, dtype=torch.bfloat16)
        got = resize_pos_embed(embed, (4, 4), (3, 6))
        assert got.dtype == torch.bfloat16
        assert torch.equal(got, resize_pos_embed(embed.float(), (4, 4), (3, 6)).bfloat16())

    def test_gradients(self) -> None:
        embed = torch.randn(1, 5, 2, requires_grad=True)
        resize_pos_embed(embed, (2, 2), (3, 1)).sum().backward()
        assert embed.grad is not None
        # Every new token is a weighted mean of old ones, so what goes back adds up to what came in.
        assert embed.grad[:, 0].sum().item() == pytest.approx(2)
        assert embed.grad[:, 1:].sum().item() == pytest.approx(6, rel=1e-5)


class TestPatchEmbed:
    """Kernels of a patch embedding."""

    @given(old=sides, new=sides)
    def test_bicubic_without_rescaling(self, old: int, new: int, close: Callable[..., None]) -> None:
        weight = torch.randn(4, 3, old, old)
        got = resize_patch_embed(weight, new)
        want = torch.einsum("ir,js,ocrs->ocij", cubic(old, new), cubic(old, new), weight.double())
        close(got, want.float())

    def test_same_size_gives_the_same_bits(self) -> None:
        weight = torch.randn(4, 3, 14, 14)
        assert torch.equal(resize_patch_embed(weight, 14), weight)

    def test_computed_in_fp32(self) -> None:
        weight = torch.randn(4, 3, 14, 14, dtype=torch.bfloat16)
        got = resize_patch_embed(weight, 16)
        assert got.dtype == torch.bfloat16
        assert torch.equal(got, resize_patch_embed(weight.float(), 16).bfloat16())
