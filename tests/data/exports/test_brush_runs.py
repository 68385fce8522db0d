"""The bit stream of Label Studio's brush masks, also as its editor writes it: with values that are not repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.data.exports.brush_runs import brush_alpha
from internvl_seg.data.exports.export import SourceError
from tests.data.exports.refusals import refusal

LENGTHS = (3, 4, 8, 16)


def stream(values: list[int], cuts: list[tuple[bool, int, int]], lengths: tuple[int, ...] = LENGTHS) -> list[int]:
    """The bytes of values in pieces of (whether repeated, which length, how many)."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    at = 0
    for repeated, which, count in cuts:
        bits += f"{int(repeated)}{which:02b}{count - 1:0{lengths[which]}b}"
        bits += "".join(f"{value:08b}" for value in (values[at : at + 1] if repeated else values[at : at + count]))
        at += count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[int], list[int], tuple[int, int], int]:
    """Bytes, values, size, and where the stream ends."""
    size = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    lengths = tuple(draw(st.integers(1, 16)) for _ in range(4))
    values: list[int] = []
    cuts = []
    while len(values) < 4 * size[0] * size[1]:
        which = draw(st.integers(0, 3))
        most = min(2 ** lengths[which], 4 * size[0] * size[1] - len(values))
        count = draw(st.integers(1, most))
        repeated = draw(st.booleans())
        byte = st.integers(0, 255)
        values += [draw(byte)] * count if repeated else draw(st.lists(byte, min_size=count, max_size=count))
        cuts.append((repeated, which, count))
    return stream(values, cuts, lengths), values, size, 0


@given(streams())
def test_any_stream(case: tuple[list[int], list[int], tuple[int, int], int]) -> None:
    data, values, size, _ = case
    np.testing.assert_array_equal(brush_alpha(data, size, "x"), np.reshape(values, (*size, 4))[..., 3])
    if len(data) > 7:
        with pytest.raises(SourceError, match=r"ends before|no values"):
            brush_alpha(data[:-2], size, "x")


@given(st.lists(st.integers(0, 255), max_size=60), st.integers(1, 3), st.integers(1, 3))
def test_bytes_that_are_no_stream_are_refused_in_words(data: list[int], height: int, width: int) -> None:
    whole = [0, 0, 0, 4 * height * width, *data]
    found, words = refusal(lambda: brush_alpha(whole, (height, width), "result 1 of a.json"))
    assert "result 1 of a.json" in words if found is None else found.shape == (height, width)


def test_a_large_mask_is_read_in_no_time() -> None:
    height, width = 1000, 1500
    values = np.zeros((height, width, 4), np.uint8)
    values[100:800, 300:1200] = (1, 2, 3, 255)
    cuts, flat = [], values.ravel()
    for start in range(0, flat.size, 6000):
        cuts.append((False, 3, 6000)) if flat[start : start + 6000].any() else cuts.append((True, 3, 6000))
    data = np.packbits(
        np.concatenate(
            [
                np.array([*f"{flat.size:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"], np.uint8),
                *(
                    np.concatenate(
                        [
                            np.array([*f"{int(repeated)}11{5999:016b}"], np.uint8),
                            np.unpackbits(flat[i * 6000 : i * 6000 + (1 if repeated else 6000)]),
                        ]
                    )
                    for i, (repeated, _, _) in enumerate(cuts)
                ),
            ]
        )
    )
    np.testing.assert_array_equal(brush_alpha(data.tolist(), (height, width), "x"), values[..., 3])
