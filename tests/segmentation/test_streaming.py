"""Tiles of the result, made from low-resolution logits."""

from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from internvl_seg.segmentation.memory import choose_tile_bytes, measure
from internvl_seg.segmentation.resize import bilinear_taps
from internvl_seg.segmentation.streaming import (
    NonFiniteLogitsError,
    Scores,
    Tile,
    View,
    WindowRows,
    _candidates,
    stream_tiles,
)

SIZE = (40, 50)


def view_of(low: Tensor, size: tuple[int, int] = SIZE) -> View:
    """A picture that is one window with these logits, (C, h, w)."""
    windows = WindowRows(lambda first, last: [low.transpose(0, 1)[None]], 1)
    return View(windows, 0, *(bilinear_taps(a, b, False) for a, b in zip(low.shape[1:], size, strict=True)), alone=True)


def put_together(tiles: Iterable[Tile], size: tuple[int, int] = SIZE) -> Tensor:
    out = torch.full(size, -1)
    for tile in tiles:
        assert (out[tile.rows, tile.columns] == -1).all()
        out[tile.rows, tile.columns] = tile.labels
    return out


def upsampled(low: Tensor, size: tuple[int, int] = SIZE) -> Tensor:
    return F.interpolate(low[None], size, mode="bilinear")[0]


@given(st.integers(2, 40), st.integers(1, 6), st.integers(1, 6), st.integers(1, 40_000), st.floats(0.01, 100))
def test_tiles_of_any_size_give_the_labels_of_the_whole(
    classes: int, height: int, width: int, tile_bytes: int, spread: float
) -> None:
    low = torch.randn(classes, height, width) * spread
    assert put_together(stream_tiles([view_of(low)], tile_bytes)).equal(upsampled(low).argmax(0))


def test_a_class_that_cannot_win_is_not_computed() -> None:
    low = torch.rand(50, 4, 5)
    low[7:9, :, :2] += 10
    assert _candidates(low[..., :2].transpose(0, 1)).tolist() == [7, 8]
    assert _candidates(low[..., 2:].transpose(0, 1)).tolist() == list(range(50))


def test_a_class_is_left_out_only_past_rounding() -> None:
    low = torch.full((3, 2, 2), 1000.0)
    low[1] -= 0.05
    low[2] -= 0.5
    assert _candidates(low.transpose(0, 1)).tolist() == [0, 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("scores", [None, "logits", "probabilities"])
def test_what_is_no_number_becomes_no_label(value: float, scores: Scores | None) -> None:
    low = torch.randn(5, 4, 5)
    low[2, 3, 4] = value
    with pytest.raises(NonFiniteLogitsError) as error:
        next(stream_tiles([view_of(low)], 400, scores=scores))
    assert error.value.picture == 0


def test_scores_are_those_of_every_class() -> None:
    low = torch.randn(6, 4, 5)
    for kind, want in (("logits", upsampled(low)), ("probabilities", upsampled(low).softmax(0))):
        for tile in stream_tiles([view_of(low)], 4000, scores=kind):
            torch.testing.assert_close(tile.scores, want[:, tile.rows, tile.columns], rtol=1e-5, atol=1e-5)
            assert tile.labels.equal(want[:, tile.rows, tile.columns].argmax(0))


def test_views_decide_by_their_mean_probability() -> None:
    first, second = torch.randn(2, 5, 4, 5) * 5
    mean = (upsampled(first).softmax(0) + upsampled(second).softmax(0)) / 2
    views = [view_of(first), view_of(second)]
    assert put_together(stream_tiles(views, 4000)).equal(mean.argmax(0))
    # The mean of the logits would decide otherwise.
    assert (upsampled(first) + upsampled(second)).argmax(0).ne(mean.argmax(0)).any()
    (tile,) = stream_tiles(views, 1 << 20, scores="probabilities")
    torch.testing.assert_close(tile.scores, mean, rtol=1e-5, atol=1e-5)
    (tile,) = stream_tiles(views, 1 << 20, scores="logits")
    torch.testing.assert_close(tile.scores, upsampled(second), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_one_output_is_compared_with_its_threshold(count: int) -> None:
    lows = torch.randn(count, 1, 4, 5)
    mean = sum(upsampled(low).sigmoid() for low in lows) / count
    (tile,) = stream_tiles([view_of(low) for low in lows], 1 << 20, threshold=0.6, scores="logits")
    assert tile.labels.equal((mean[0] > 0.6).long())
    assert 0 < tile.labels.sum() < tile.labels.numel()
    torch.testing.assert_close(tile.scores, upsampled(lows[-1]).sigmoid(), rtol=1e-5, atol=1e-5)


def test_rows_of_windows_are_computed_when_needed_and_forgotten_when_done() -> None:
    computed: list[int] = []
    kept: list[int] = []

    def compute(first: int, last: int) -> list[Tensor]:
        computed.extend(range(first, last))
        return [torch.full((1, 2, 3, 4), float(i)) for i in range(first, last)]

    windows = WindowRows(compute, 6, at_once=2)
    view = View(windows, 0, bilinear_taps(12, 400, False), bilinear_taps(4, 5, False), alone=True)
    for _ in stream_tiles([view], 4 * 3 * 5 * 20):
        kept.append(len(windows._kept))
    assert computed == [0, 1, 2, 3, 4, 5]
    assert max(kept) <= 4
    assert kept[-1] <= 2


def test_memory_does_not_grow_with_classes() -> None:
    def peak(classes: int) -> int:
        view = view_of(torch.randn(classes, 4, 4), (512, 512))
        view.windows.row(0)
        return measure(lambda: sum(1 for _ in stream_tiles([view], 1 << 20)))[1]

    few, many = peak(2), peak(500)
    assert many < 1.5 * few
    assert many < 500 * 512 * 512 * 4 / 50


@pytest.mark.parametrize("scores", [None, "probabilities"])
@pytest.mark.parametrize("max_memory", [300_000, 1_000_000])
def test_a_bound_on_memory_is_kept(max_memory: int, scores: Scores | None) -> None:
    def peak(tile_bytes: int) -> int:
        view = view_of(torch.randn(40, 4, 4), (512, 512))
        return measure(lambda: sum(1 for _ in stream_tiles([view], tile_bytes, scores=scores)))[1]

    # Beside the tiles there are the columns of the matrices, which only sizes determine.
    matrices = peak(1)
    assert peak(choose_tile_bytes(torch.device("cpu"), max_memory)) <= max_memory + matrices
    assert peak(1 << 22) > max_memory + matrices


@pytest.mark.parametrize("line", [(1, -1), (-1, 1)])
def test_memory_grows_no_faster_than_a_line_of_pixels(line: tuple[int, int]) -> None:
    def peak(length: int) -> int:
        height, width = (length if side < 0 else side for side in line)
        view = view_of(torch.randn(2, -(-height // 2), -(-width // 2)), (height, width))
        view.windows.row(0)
        return measure(lambda: sum(1 for _ in stream_tiles([view], 1 << 27)))[1]

    assert peak(16384) < 2.5 * peak(8192)
