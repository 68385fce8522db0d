"""Images inside JSON files, and those that are made to fill the memory."""

import base64
import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.inline_images import base64_bytes, inflate, png_mask
from tests.data.exports.refusals import refusal


def png(mask: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(mask).save(data, "PNG")
    return data.getvalue()


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5))
def test_masks_come_back(rows: list[list[bool]]) -> None:
    mask = np.array(rows)
    for stored in (mask, mask * np.uint8(255), mask * np.uint16(300)):
        np.testing.assert_array_equal(png_mask(png(stored), mask.shape, "x", exact=True), mask)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_damaged_pngs_are_refused_in_words(junk: bytes, keep: int) -> None:
    data = png(np.ones((5, 6), np.uint8))[:keep] + junk
    found, words = refusal(lambda: png_mask(data, (5, 6), "the mask of shape 1 of a.json", exact=True))
    assert "the mask of shape 1 of a.json" in words if found is None else found.shape == (5, 6)


def test_a_large_png_is_refused_by_its_header() -> None:
    data = bytearray(png(np.ones((5, 6), np.uint8)))
    header = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + bytes(data[24:29])
    data[12:33] = header + zlib.crc32(header).to_bytes(4, "big")
    with pytest.raises(SourceError, match=r"100000 x 100000 pixels|no PNG that can be read"):
        png_mask(bytes(data), (5, 6), "x", exact=False)


def test_what_unpacks_to_too_much_is_refused_before_it_is() -> None:
    packed = zlib.compress(bytes(1 << 25))
    with pytest.raises(SourceError, match="unpacks to more than 1053376 bytes"):
        inflate(packed, (20, 30), "x")
    assert inflate(zlib.compress(b"a" * 1000), (1, 1), "x") == b"a" * 1000


def test_base64_with_and_without_a_head() -> None:
    coded = base64.b64encode(b"abc").decode()
    assert base64_bytes(coded, "x") == base64_bytes(f"data:image/png;base64,{coded}", "x") == b"abc"
    for wrong in ("*", 7, None, "a"):
        with pytest.raises(SourceError, match="x is no base64"):
            base64_bytes(wrong, "x")
