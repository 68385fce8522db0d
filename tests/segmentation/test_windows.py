"""Where windows lie."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.segmentation.windows import Side, window_starts


@given(st.integers(1, 300), st.integers(1, 80), st.data())
def test_windows_lie_where_mmsegmentation_puts_them_and_never_coincide(
    size: int, crop: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, crop))
    starts = window_starts(size, crop, stride)
    theirs = []
    for i in range(max(size - crop + stride - 1, 0) // stride + 1):  # mmseg's slide_inference
        end = min(i * stride + crop, size)
        theirs.append(max(end - crop, 0))
    assert starts == theirs
    assert len(set(starts)) == len(starts)
    covered = {pixel for start in starts for pixel in range(start, min(start + crop, size))}
    assert covered == set(range(size))


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 7), st.data())
def test_windows_of_ones_add_up_to_ones(size: int, crop: int, low: int, data: st.DataObject) -> None:
    side = Side.cut(size, crop, data.draw(st.integers(1, crop)))
    taps = side.taps(low, side.window, align_corners=False)
    torch.testing.assert_close(taps.weight.sum(1), torch.ones(size, dtype=torch.float64), atol=1e-6, rtol=0)


def test_where_windows_overlap_their_mean_counts() -> None:
    taps = Side.cut(6, 4, 2).taps(1, 4, align_corners=False)
    matrix, used = taps.block(slice(None))
    assert used.tolist() == [0, 1]
    assert matrix.tolist() == [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1], [0, 1]]
