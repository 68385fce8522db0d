"""Masks of every depth, number of channels and size keep the ids that were stored; others are told."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from internvl_seg.data.masks import ColouredMaskError, LabelError, MaskFormatError, read_mask

IDS = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)
WHOLE = ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


def write_png(path: Path, bits: int, colour: int, rows: list[bytes], width: int) -> str:
    """Write a PNG of any depth, which Pillow does not."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return str(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def write_tiff(path: Path, pixels: np.ndarray, **options: Any) -> str:
    bands = np.atleast_3d(pixels).transpose(2, 0, 1)
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **options) as file:
        file.write(bands)
    return str(path)


def save(path: Path, pixels: np.ndarray, **options: Any) -> str:
    Image.fromarray(pixels).save(path, **options)
    return str(path)


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", WHOLE)
def test_tiffs_of_all_depths(dtype: str, channels: int, tmp_path: Path) -> None:
    pixels = np.repeat(IDS[..., None], channels, -1).astype(dtype)
    for compress in ("none", "deflate", "lzw"):
        np.testing.assert_array_equal(read_mask(write_tiff(tmp_path / "a.tif", pixels, compress=compress)), IDS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_not_stretched(bits: int, tmp_path: Path) -> None:
    ids = IDS % 2**bits
    np.testing.assert_array_equal(read_mask(write_tiff(tmp_path / "a.tif", ids, nbits=bits)), ids)
    packed = [int("".join(f"{value:0{bits}b}" for value in row).ljust(16, "0"), 2).to_bytes(2, "big") for row in ids]
    rows = [row[: -(-bits * 4 // 8)] for row in packed]
    np.testing.assert_array_equal(read_mask(write_png(tmp_path / "a.png", bits, 0, rows, 4)), ids)


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_png_of_16_bits_and_several_channels(colour: int, tmp_path: Path) -> None:
    ids = [1, 2, 300]
    samples = {2: "{0:04x}" * 3, 4: "{0:04x}ffff", 6: "{0:04x}" * 3 + "ffff"}[colour]
    row = bytes.fromhex("".join(samples.format(value) for value in ids))
    path = write_png(tmp_path / "a.png", 16, colour, [row], 3)
    assert read_mask(path).tolist() == [ids]
    Path(path).write_bytes(Path(path).read_bytes()[:-25])
    with pytest.raises((OSError, SyntaxError)):
        read_mask(path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_equal_channels_are_ids(suffix: str, tmp_path: Path) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"a{suffix}", np.repeat(IDS[..., None], 3, -1), **options)
    np.testing.assert_array_equal(read_mask(path), IDS)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif"])
@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_every_format_gives_the_stored_ids(mode: str, suffix: str, tmp_path: Path) -> None:
    image = Image.fromarray(IDS % 2 * 255).convert("1") if mode == "1" else Image.fromarray(IDS)
    if mode == "P":
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])
    image.save(tmp_path / f"a{suffix}")
    if mode == "1" and suffix == ".gif":
        return  # A GIF has no mode of its own for one bit.
    np.testing.assert_array_equal(read_mask(str(tmp_path / f"a{suffix}")), IDS % 2 if mode == "1" else IDS)


@pytest.mark.parametrize(("mode", "opacity"), [("LA", 255), ("LA", 7), ("RGBA", 255), ("RGBA", 0)])
def test_an_opacity_that_is_the_same_everywhere_counts_for_nothing(mode: str, opacity: int, tmp_path: Path) -> None:
    image = Image.fromarray(IDS).convert(mode)
    image.putalpha(opacity)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(str(tmp_path / "a.png")), IDS)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_asked_about(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(IDS).convert(mode)
    image.putalpha(Image.fromarray(np.where(IDS > 1, 255, 0).astype(np.uint8)))
    image.save(tmp_path / "a.png")
    with pytest.raises(LabelError, match=rf"a\.png has {len(mode)} channels, of which the last says how transparent"):
        read_mask(str(tmp_path / "a.png"))


def test_colours_are_told_with_their_place_and_the_way_out(tmp_path: Path) -> None:
    pixels = np.repeat(IDS[..., None], 3, -1)
    pixels[1, 2] = 128, 0, 64
    with pytest.raises(ColouredMaskError) as told:
        read_mask(save(tmp_path / "a.png", pixels))
    assert str(told.value) == (
        f"{tmp_path / 'a.png'} has 3 channels that differ, such as 128, 0, 64 in row 1, column 2: colours, or bands, "
        "where one class id for every pixel is expected. python tools/prepare_dataset.py turns colours into ids "
        "(docs/own_data.md)."
    )
    with pytest.raises(ColouredMaskError, match="has 5 channels that differ"):
        read_mask(write_tiff(tmp_path / "a.tif", np.stack([IDS, IDS, IDS, IDS, IDS + 1], -1)))


def test_jpegs_do_not_keep_ids(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        with pytest.raises(MaskFormatError, match=rf"{name} is a JPEG, which changes values"):
            read_mask(save(tmp_path / name, IDS, format="JPEG"))
    with pytest.raises(MaskFormatError, match="is a JPEG"):
        read_mask(save(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), compression="jpeg"))


def test_several_pages_are_not_cut_to_the_first(tmp_path: Path) -> None:
    pages = [Image.fromarray(IDS), Image.fromarray(IDS + 1)]
    for name in ("a.tif", "a.gif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(MaskFormatError, match=rf"{name} holds 2 pages"):
            read_mask(str(tmp_path / name))
    ids = np.kron(IDS, np.ones((64, 64), np.uint8))
    path = write_tiff(tmp_path / "pyramid.tif", ids, tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    assert Image.open(path).n_frames == 3
    np.testing.assert_array_equal(read_mask(path), ids)


def test_a_bmp_of_5_bits_a_channel(tmp_path: Path) -> None:
    header = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54 + 4, 0, 0, 54, 40, 2, 1, 1, 16, 0, 4, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(header + struct.pack("<HH", 0, 0x7FFF))
    with pytest.raises(MaskFormatError, match="5 bits a channel"):
        read_mask(str(tmp_path / "a.bmp"))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", "_deflated.tif"])
def test_masks_over_pillows_limit_are_read(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"compression": "tiff_deflate"} if suffix == "_deflated.tif" else {}
    path = save(tmp_path / f"a{suffix}", IDS, **options)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    np.testing.assert_array_equal(read_mask(path), IDS)
    monkeypatch.setattr("internvl_seg.data.mask_files.MOST_PIXELS", 7)
    if not options:
        with pytest.raises(MaskFormatError, match=r"too large to be read at once: 4 x 2 pixels\. Cut it into tiles"):
            read_mask(path)


def test_a_large_mask_of_another_format_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.webp", np.repeat(IDS[..., None], 3, -1), lossless=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    with pytest.raises(MaskFormatError, match=r"too large .* Cut it into tiles"):
        read_mask(path)


def test_what_is_no_picture(tmp_path: Path) -> None:
    for name, content in {"a.png": b"nothing", "a.tif": b"II*\0nothing at all"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError, match="cannot identify"):
            read_mask(str(tmp_path / name))


@settings(max_examples=40)
@given(
    pixels=arrays.arrays(np.uint16, st.tuples(*[st.integers(1, 9)] * 2)),
    channels=st.sampled_from([1, 3]),
    wide=st.booleans(),
)
def test_any_ids_come_back(
    pixels: np.ndarray, channels: int, wide: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("masks")
    ids = pixels if wide else pixels.astype(np.uint8)
    stored = np.repeat(ids[..., None], channels, -1)
    for suffix in (".png", ".tif"):
        path = folder / f"a{suffix}"
        assert cv2.imwrite(str(path), stored)
        np.testing.assert_array_equal(read_mask(str(path)), ids)
