"""A picture in any format is the same pixels when it is read at once and in parts, or it is refused."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rich.console import Console

from internvl_seg.data import turned
from internvl_seg.inference import Segmenter
from internvl_seg.inference.files import segment_files
from internvl_seg.inference.pictures import PictureError, as_rgb, read_picture
from internvl_seg.inference.rasters import RasterError, RasterReader
from internvl_seg.inference.results import ResultsFolder

from ..error_table import DocumentedError
from .conftest import picture
from .test_rasters import UTM, write_tif

PIXELS = picture(28, 42)
RGB = Image.fromarray(PIXELS)
OTHER = Image.fromarray(picture(28, 42, seed=1))
GREY = RGB.convert("L")
WIDE = np.random.default_rng(0).integers(0, 4096, (28, 42, 3), np.uint16)  # 12 bits in 16.


def read_in_parts(path: Path) -> np.ndarray:
    with RasterReader(path) as raster:
        rows = range(0, raster.height, 10)
        parts = [raster.rows(row, min(row + 10, raster.height)) for row in rows]
        assert raster.preview(10**4).shape == (raster.height, raster.width, 3)
        if raster.masked:
            assert raster.valid_rows(0, raster.height).shape == (raster.height, raster.width)
        return np.concatenate(parts)


def paletted(**options: Any) -> Callable[[Path], None]:
    return lambda path: RGB.quantize(16).save(path, **options)


def bands(*chosen: np.ndarray, **profile: Any) -> Callable[[Path], None]:
    return lambda path: (write_tif(path, np.stack(chosen), **profile), None)[1]


def wide(channels: int) -> Callable[[Path], None]:
    """16 bits a channel: Pillow itself cannot write them."""

    def write(path: Path) -> None:
        data = np.concatenate([WIDE, WIDE[..., :1]], axis=2)[..., :channels].transpose(2, 0, 1)
        driver = {"png": "PNG", "jp2": "JP2OpenJPEG", "tif": "GTiff"}[path.suffix[1:]]
        options = {} if driver == "PNG" else {"photometric": "RGB"} if driver == "GTiff" and channels >= 3 else {}
        with rasterio.open(
            path, "w", driver=driver, height=28, width=42, count=channels, dtype="uint16", **options
        ) as file:
            file.write(data)

    return write


def saved(image: Image.Image, **options: Any) -> Callable[[Path], None]:
    return lambda path: image.save(path, **options)


def sgi(storage: int) -> bytes:
    """The header of an SGI image of 16 bits a channel."""
    return struct.pack(">hBBHHHHii", 474, storage, 2, 3, 42, 28, 3, 0, 65535).ljust(512, b"\0")


TAKEN = {
    "rgb.png": saved(RGB),
    "rgb.bmp": saved(RGB),
    "rgb.webp": saved(RGB, lossless=True),
    "rgb.jp2": saved(RGB),
    "rgb.jpg": saved(RGB, subsampling=0),
    "rgb.ppm": saved(RGB),
    "rgb.tif": saved(RGB),
    "lzw.tif": saved(RGB, compression="tiff_lzw"),
    "planes.tif": bands(*PIXELS.transpose(2, 0, 1), photometric="RGB", interleave="band"),
    "cmyk.tif": saved(RGB.convert("CMYK")),
    "cmyk.jpg": saved(RGB.convert("CMYK"), subsampling=0),
    "ycbcr.tif": saved(RGB.convert("YCbCr")),
    **{f"{mode}.{kind}": saved(RGB.convert(mode)) for mode in ("L", "1", "P", "LA", "RGBA") for kind in ("png", "tif")},
    "two_bits.png": paletted(bits=4),
    "palette_with_alpha.tif": saved(GREY.convert("PA")),
    "transparent_colour.png": saved(RGB, transparency=tuple(PIXELS[0, 0].tolist())),
    "transparent_palette.png": paletted(transparency=3),
    "grey.gif": saved(GREY),
    "palette.gif": paletted(),
    "transparent.gif": paletted(transparency=3),
    "two_frames.gif": saved(RGB, save_all=True, append_images=[OTHER]),
    "three_frames.gif": saved(RGB, save_all=True, append_images=[OTHER, RGB]),
    "four_frames.gif": saved(RGB.quantize(9), save_all=True, append_images=[OTHER, OTHER.rotate(180), RGB]),
    "frames.png": saved(RGB, save_all=True, append_images=[OTHER]),
    "pages.tif": saved(RGB, save_all=True, append_images=[OTHER]),
    "white_is_zero.tif": bands(PIXELS[..., 0], photometric="MINISWHITE"),
    "one_bit_white_is_zero.tif": bands(PIXELS[..., 0] >> 7, photometric="MINISWHITE", nbits=1),
    "four_bits.tif": bands(PIXELS[..., 0] >> 4, nbits=4),
}
REFUSED = {
    "rgb.png": wide(3),
    "rgba.png": wide(4),
    "grey_alpha.png": wide(2),
    "grey.png": wide(1),
    "rgb.tif": wide(3),
    "rgba.tif": wide(4),
    "grey.tif": wide(1),
    "rgb.jp2": wide(3),
    "rgb.ppm": lambda path: path.write_bytes(b"P6 42 28 4095\n" + WIDE.astype(">u2").tobytes()),
    "rgb.sgi": lambda path: path.write_bytes(sgi(0) + WIDE.astype(">u2").transpose(2, 0, 1).tobytes()),
    "compressed.sgi": lambda path: path.write_bytes(sgi(1) + bytes(1000)),
    "grey.jp2": wide(1),
    "float.tif": saved(GREY.convert("F")),
    "integer.tif": saved(GREY.convert("I")),
    "signed.tif": bands(PIXELS[..., 0].astype(np.int8)),
    "signed16.tif": bands(PIXELS[..., 0].astype(np.int16)),
    "complex.tif": bands(PIXELS[..., 0].astype(np.complex64)),
    "lab.tif": bands(*PIXELS.transpose(2, 0, 1), photometric="CIELAB"),
    "four_bits_a_channel.tif": bands(*(PIXELS >> 4).transpose(2, 0, 1), photometric="RGB", nbits=4),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_picture_has_the_same_pixels_in_parts(name: str, tmp_path: Path) -> None:
    TAKEN[name](tmp_path / name)
    whole, parts = read_picture(tmp_path / name), read_in_parts(tmp_path / name)
    assert whole.shape == parts.shape
    # Of lossy colours two libraries may round differently.
    assert np.abs(whole.astype(int) - parts).max() <= (1 if name.startswith(("cmyk", "ycbcr", "rgb.jpg")) else 0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_rgb_of_8_bits_is_refused_at_once_and_in_parts(name: str, tmp_path: Path) -> None:
    REFUSED[name](tmp_path / name)
    with pytest.raises(PictureError, match=f"{name}(: A picture has| is no picture in a format)"):
        read_picture(tmp_path / name)
    with pytest.raises(RasterError, match=name):
        RasterReader(tmp_path / name)


def test_colours_of_another_kind_are_told(tmp_path: Path, documented_error: DocumentedError) -> None:
    wide(3)(tmp_path / "wide.png")
    REFUSED["lab.tif"](tmp_path / "lab.tif")
    REFUSED["signed.tif"](tmp_path / "signed.tif")
    RGB.convert("CMYK").save(tmp_path / "cmyk.jp2")
    bands(*PIXELS.transpose(2, 0, 1), photometric="RGB", nbits=4)(tmp_path / "four.tif")
    with documented_error("a picture has 16 bits a channel in three channels", PictureError):
        read_picture(tmp_path / "wide.png")
    with documented_error("a picture is in CIELAB", PictureError):
        read_picture(tmp_path / "lab.tif")
    with documented_error("a picture has values with signs", PictureError):
        read_picture(tmp_path / "signed.tif")
    for name, case in (
        ("lab.tif", "a raster is in CIELAB"),
        ("cmyk.jp2", "a raster is a JPEG 2000 in CMYK"),
        ("four.tif", "a raster has fewer than 8 bits a channel"),
    ):
        with documented_error(case, RasterError):
            RasterReader(tmp_path / name)
    # One that is open and not decoded is no other than its file.
    with Image.open(tmp_path / "wide.png") as image, pytest.raises(PictureError, match="this one has 16"):
        as_rgb(image)


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_a_picture_is_turned_as_its_camera_says(orientation: int, kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{kind}"
    RGB.save(path, exif=exif, **({"lossless": True} if kind == "webp" else {"subsampling": 0} if kind == "jpg" else {}))
    whole, parts = read_picture(path), read_in_parts(path)
    assert whole.shape == ((42, 28, 3) if 5 <= orientation <= 8 else (28, 42, 3))
    assert np.array_equal(parts, whole) if kind != "jpg" else np.abs(parts.astype(int) - whole).max() <= 1
    with RasterReader(path) as raster:
        assert np.array_equal(raster.preview(10**4), parts)


def test_what_lies_on_earth_is_not_turned(tmp_path: Path) -> None:
    RGB.save(tmp_path / "a.tif", exif=exif_of(6))
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.crs, file.transform = UTM["crs"], UTM["transform"]
    assert np.array_equal(read_in_parts(tmp_path / "a.tif"), PIXELS)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def test_the_mask_is_turned_with_the_picture(tmp_path: Path) -> None:
    alpha = np.zeros((28, 42), np.uint8)
    alpha[:5, :9] = 255
    image = RGB.copy()
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "a.png", exif=exif_of(6))
    with RasterReader(tmp_path / "a.png") as raster:
        valid = raster.valid_rows(0, 42)
    assert np.array_equal(valid, np.rot90(alpha, -1) > 0)


def test_the_mask_is_the_first_frames(tmp_path: Path) -> None:
    first, second = RGB.quantize(16), OTHER.quantize(16)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second, first], transparency=3, disposal=2)
    with RasterReader(tmp_path / "a.gif") as raster:
        valid = raster.valid_rows(0, 28)
    assert np.array_equal(valid, np.asarray(first) != 3)


def test_exif_after_the_pixels_counts(tmp_path: Path) -> None:
    RGB.save(tmp_path / "a.png", exif=exif_of(3))
    content = (tmp_path / "a.png").read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4])
    (tmp_path / "late.png").write_bytes(content[:start] + content[stop:-12] + content[start:stop] + content[-12:])
    assert np.array_equal(read_in_parts(tmp_path / "late.png"), PIXELS[::-1, ::-1])
    assert np.array_equal(read_picture(tmp_path / "late.png"), PIXELS[::-1, ::-1])


def test_a_picture_of_any_size_is_turned_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    RGB.save(tmp_path / "a.jpg", exif=exif_of(6))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(turned, "_ROWS", 3)
    assert read_in_parts(tmp_path / "a.jpg").shape == (42, 28, 3)
    monkeypatch.setattr("internvl_seg.inference.raster_reader._LARGEST_TURNED", 1000)
    with documented_error("a raster is too large to be turned", RasterError):
        RasterReader(tmp_path / "a.jpg")


def test_bands_are_found_by_their_colours(tmp_path: Path) -> None:
    red, green, blue = PIXELS.transpose(2, 0, 1)
    nir = np.full_like(red, 7)
    for order, kinds in (
        ((blue, green, red, nir), ("blue", "green", "red", "undefined")),
        ((nir, red, green, blue), ("alpha", "red", "green", "blue")),
        ((nir, nir, red, green, blue), ("undefined", "undefined", "red", "green", "blue")),
        ((red, green, blue, nir), ("undefined",) * 4),
        ((nir, red, green, blue), ("alpha", "gray", "undefined", "undefined")),
    ):
        path = write_tif(tmp_path / "a.tif", np.stack(order))
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [ColorInterp[kind] for kind in kinds]
        assert np.array_equal(read_in_parts(path), PIXELS), kinds


def test_bands_that_are_guessed_are_told(segmenter: Segmenter, tmp_path: Path) -> None:
    colours = PIXELS.transpose(2, 0, 1)
    inputs = [
        write_tif(tmp_path / name, np.concatenate([colours, more]), photometric=kind, **UTM)
        for name, more, kind in (
            ("five.tif", colours[:2], "MINISBLACK"),
            ("rgb.tif", colours[:0], "RGB"),
            ("rgb_and_more.tif", colours[:2], "RGB"),
            ("unnamed.tif", colours[:0], "MINISBLACK"),
        )
    ]
    results = ResultsFolder(tmp_path / "out", segmenter.classes, segmenter.palette, {}, [])
    report = segment_files(segmenter, inputs, results, console=Console(quiet=True))
    assert (report.written, report.guessed) == (4, inputs[:1])


def test_a_frame_smaller_than_its_canvas_is_refused_in_parts(tmp_path: Path, documented_error: DocumentedError) -> None:
    RGB.save(tmp_path / "a.gif")
    content = bytearray((tmp_path / "a.gif").read_bytes())
    content[6:10] = struct.pack("<HH", 50, 30)
    (tmp_path / "a.gif").write_bytes(content)
    assert read_picture(tmp_path / "a.gif").shape == (30, 50, 3)
    with documented_error("a GIF's first frame is smaller than its canvas", RasterError):
        RasterReader(tmp_path / "a.gif")
