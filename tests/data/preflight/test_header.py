"""What the heads of files say is what the files hold."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.preflight.header import Header, find_damage, read_ends, read_header, seems_whole

from ...rasters import write_raster

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def head_of(path: Path) -> Header:
    with path.open("rb") as file:
        return read_header(file)


def by_pillow(suffix: str, mode: str, **options: Any) -> Any:
    return suffix, lambda path: Image.fromarray(PIXELS).convert(mode).save(path, **options)


def by_opencv(suffix: str, pixels: np.ndarray) -> Any:
    return suffix, lambda path: cv2.imwrite(str(path), pixels)


def by_gdal(pixels: np.ndarray, **options: Any) -> Any:
    return ".tif", lambda path: write_raster(path, pixels, **options)


DEEP = PIXELS.astype(np.uint16) * 256
FIVE = np.concatenate([DEEP, DEEP[..., :2]], -1)


@pytest.mark.parametrize(
    ("made", "kind", "mode", "alpha"),
    [
        (by_pillow(".png", "1"), "PNG, 1 band of 1 bits", "1", False),
        (by_pillow(".png", "L"), "PNG, 1 band of 8 bits", "L", False),
        (by_pillow(".png", "P", transparency=3), "PNG, 1 band of 8 bits", "P", True),
        (by_pillow(".png", "RGBA"), "PNG, 4 bands of 8 bits", "RGBA", True),
        (by_pillow(".jpg", "CMYK"), "JPEG, 4 bands of 8 bits", "CMYK", False),
        (by_pillow(".webp", "RGB"), "WEBP, 3 bands of 8 bits", "RGB", False),
        (by_opencv(".png", DEEP[..., 0]), "PNG, 1 band of 16 bits", "I;16", False),
        (by_opencv(".png", DEEP), "PNG, 3 bands of 16 bits", "RGB", False),
        (by_gdal(PIXELS, photometric="RGB"), "TIFF, 3 bands of 8 bits", "RGB", False),
        (by_gdal(PIXELS[..., :1] % 2, nbits=1), "TIFF, 1 band of 1 bits", "1", False),
        (by_gdal(FIVE), "TIFF, 5 bands of 16 bits", None, None),
        (by_gdal(FIVE, BIGTIFF="YES"), "TIFF, 5 bands of 16 bits", None, None),
        (by_gdal(PIXELS[..., :1].astype(np.float32)), "TIFF, 1 band of floating-point numbers of 32 bits", "F", False),
        (by_gdal(FIVE.astype(np.float64)), "TIFF, 5 bands of floating-point numbers of 64 bits", None, None),
    ],
)
def test_heads_say_what_is_in_files(made: Any, kind: str, mode: str | None, alpha: bool | None, tmp_path: Path) -> None:
    suffix, write = made
    path = tmp_path / f"a{suffix}"
    write(path)
    header = head_of(path)
    assert header.kind == kind
    assert header.size == (20, 30)
    assert header.orientation == 1
    if mode is not None:
        assert (header.mode, header.has_alpha) == (mode, alpha)
    assert seems_whole(read_ends(io.BytesIO(path.read_bytes()))[1], header) == (suffix in (".png", ".jpg"))
    assert find_damage(str(path), header) == ""


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert Header().kind == "an unknown format"
    assert (Header().bands, Header().bits, Header().size, Header().orientation) == (0, 0, (0, 0), 1)


def test_the_way_up_is_exifs(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    for suffix in (".jpg", ".png", ".webp"):
        Image.fromarray(PIXELS).save(tmp_path / f"a{suffix}", exif=exif)
        assert head_of(tmp_path / f"a{suffix}").orientation == 6


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_what_is_cut_off_is_damaged(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PIXELS).save(path)
    header, content = head_of(path), path.read_bytes()
    path.write_bytes(content[: 9 * len(content) // 10])
    assert not seems_whole(read_ends(io.BytesIO(path.read_bytes()))[1], header)
    assert find_damage(str(path), header)


def test_a_part_of_a_png_with_a_wrong_checksum_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    header, content = head_of(path), bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    assert find_damage(str(path), header) == "its part b'IDAT' at byte 33 is damaged (checksum)"
