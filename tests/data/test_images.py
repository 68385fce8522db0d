"""Pictures of 8 bits are mmcv's; others are read band by band as they are, or refused: never cast in silence."""

from pathlib import Path
from typing import Any

import mmpretrain.registry
import numpy as np
import pytest
import rasterio
from mmcv.transforms import LoadImageFromFile as MMCVLoadImageFromFile
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image

import internvl_seg.classification  # noqa: F401
from internvl_seg.data.bands import ImageError
from internvl_seg.data.gdal import gdal
from internvl_seg.data.images import LoadImageFromFile

from ..rasters import write_raster

TYPES = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]


def load(path: Path | str, **options: Any) -> np.ndarray:
    init_default_scope("mmseg")
    found = TRANSFORMS.build({"type": "LoadImageFromFile", **options})({"img_path": str(path)})
    assert found["img_shape"] == found["ori_shape"] == found["img"].shape[:2]
    return found["img"]


def bands_of(count: int, dtype: str = "uint16", high: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, (6, 8, count)).astype(dtype)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp", ".gif"])
@pytest.mark.parametrize(
    "options", [{}, {"color_type": "unchanged"}, {"color_type": "grayscale"}, {"to_float32": True}]
)
def test_pictures_of_8_bits_are_mmcvs(mode: str, suffix: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    try:
        Image.fromarray(bands_of(3, "uint8")).convert(mode).save(path)
    except (OSError, ValueError):
        pytest.skip(f"{suffix} holds no {mode}")
    wanted = MMCVLoadImageFromFile(**options)({"img_path": str(path)})["img"]
    found = load(path, **options)
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("options", [{}, {"color_type": "unchanged"}, {"color_type": "grayscale"}])
def test_colours_below_transparency_are_those_of_the_file(options: dict[str, Any], tmp_path: Path) -> None:
    """OpenCV multiplies those of a TIFF with it, and those of a PNG not."""
    pixels = bands_of(4, "uint8")
    write_raster(tmp_path / "a.tif", pixels, photometric="rgb", alpha="non-premultiplied")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found, wanted = (load(tmp_path / f"a.{suffix}", **options).astype(int) for suffix in ("tif", "png"))
    # Decoders of PNG round grey in their own way.
    assert abs(found - wanted).max() <= (options.get("color_type") == "grayscale")
    assert np.array_equal(load(tmp_path / "a.tif", bands=[1, 2, 3, 4]), pixels)


@pytest.mark.parametrize("options", [{}, {"bands": [1]}])
def test_a_file_of_several_pages_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    pages = [Image.fromarray(band) for band in bands_of(3, "uint8").transpose(2, 0, 1)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match=r"a\.tif holds 3 pages, of which only the first would be read"):
        load(tmp_path / "a.tif", **options)


@pytest.mark.parametrize("options", [{}, {"bands": [1, 2, 3]}])
def test_smaller_copies_and_masks_are_no_pages(options: dict[str, Any], tmp_path: Path) -> None:
    pixels = bands_of(3, "uint8").repeat(8, 0).repeat(8, 1)
    path = write_raster(tmp_path / "a.tif", pixels, photometric="rgb")
    with gdal("a test"), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
        file.write_mask(True)
    assert np.array_equal(load(path, **options), pixels if options else pixels[..., ::-1])


def test_both_libraries_names_give_it() -> None:
    assert TRANSFORMS.get("LoadImageFromFile") is LoadImageFromFile
    assert mmpretrain.registry.TRANSFORMS.get("LoadImageFromFile") is LoadImageFromFile


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count", [1, 2, 4, 5, 10])
def test_bands_are_read_as_they_are_in_the_order_asked_for(dtype: str, count: int, tmp_path: Path) -> None:
    pixels = bands_of(count, dtype) - (100 if dtype != "uint8" and not dtype.startswith("u") else 0)
    path = write_raster(tmp_path / "a.tif", pixels)
    order = list(range(count, 0, -1))
    found = load(path, bands=order)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, pixels[..., ::-1].astype(np.float64))
    assert load(path, bands=[count]).shape == (6, 8, 1)


def test_formats_and_archives(tmp_path: Path) -> None:
    pixels = bands_of(3, high=60_000)
    path = write_raster(tmp_path / "a.png", pixels, driver="PNG")
    assert np.array_equal(load(path, bands=[1, 2, 3]), pixels)
    assert np.array_equal(load(path, bands=[1, 2, 3], backend_args={"backend": "local"}), pixels)
    Image.fromarray(bands_of(4, "uint8")).save(path)
    assert np.array_equal(load(path, bands=[1, 2, 3, 4]), bands_of(4, "uint8"))


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint32", "float32"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_what_would_be_cast_is_refused(dtype: str, count: int, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "wide.tif", bands_of(count, dtype))
    bits = 8 * np.dtype(dtype).itemsize
    with pytest.raises(ImageError, match=rf"wide\.tif has {count} bands? .*{bits} bits \({dtype}\).*bands=\[\.\.\.\]"):
        load(path)


@pytest.mark.parametrize("count", [2, 4, 5, 10])
@pytest.mark.parametrize("color_type", ["color", "unchanged"])
def test_bands_that_would_be_left_out_are_refused(count: int, color_type: str, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "many.tif", bands_of(count, "uint8"))
    with pytest.raises(ImageError, match=rf"many\.tif has {count} bands of 8 bits .*in_chans.*measure_bands"):
        load(path, color_type=color_type)


def test_a_band_beside_rgb_is_told(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", bands_of(4, "uint8"), photometric="rgb", alpha="unspecified")
    with pytest.raises(ImageError, match=r"4 bands \(red, green, blue, undefined\)"):
        load(path)
    assert np.array_equal(load(path, color_type="unchanged"), bands_of(4, "uint8")[..., [2, 1, 0, 3]])
    write_raster(path, bands_of(4, "uint8"), photometric="rgb", alpha="yes")
    assert np.array_equal(load(path), bands_of(4, "uint8")[..., 2::-1])


def test_png_of_16_bits_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.png", bands_of(3), driver="PNG")
    with pytest.raises(ImageError, match=r"a\.png has 3 bands \(red, green, blue\) of 16 bits"):
        load(path)
    assert load(path, color_type="unchanged").dtype == np.uint16


def test_damaged_and_missing_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for content in (b"", b"no picture", write_raster(tmp_path / "b.tif", bands_of(4)).read_bytes()[:100]):
        path.write_bytes(content)
        for options in ({}, {"bands": [1]}):
            with pytest.raises((ImageError, AssertionError), match=r"a\.tif"):
                load(path, **options)
            assert LoadImageFromFile(ignore_empty=True, **options)({"img_path": str(path)}) is None
    with pytest.raises((ImageError, FileNotFoundError), match=r"gone\.tif"):
        load(tmp_path / "gone.tif", bands=[1])


def test_fewer_bands_are_told(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", bands_of(3))
    with pytest.raises(ImageError, match=r"a\.tif has 3 bands, but the pipeline asks for bands=\[1, 2, 4\]"):
        load(path, bands=[1, 2, 4])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_told_or_become_what_is_said(bad: float, tmp_path: Path) -> None:
    pixels = bands_of(2, "float32")
    pixels[2, 3, 1] = bad
    path = write_raster(tmp_path / "a.tif", pixels)
    with pytest.raises(ImageError, match=r"a\.tif: 1 pixel holds no data, the first in row 2, column 3.*no_data=VALUE"):
        load(path, bands=[1, 2])
    found = load(path, bands=[1, 2], no_data=7)
    assert found[2, 3].tolist() == [7, 7]
    pixels[2, 3] = 7
    assert np.array_equal(found, pixels)
    assert load(path, bands=[1]).shape == (6, 8, 1)


def test_no_data_values_are_told_or_become_what_is_said(tmp_path: Path) -> None:
    pixels = bands_of(3, "int16") + 1
    pixels[0, 1] = -9999
    path = write_raster(tmp_path / "a.tif", pixels, nodata=-9999)
    with pytest.raises(ImageError, match="row 0, column 1, with -9999, -9999, -9999"):
        load(path, bands=[3, 2, 1])
    assert load(path, bands=[3, 2, 1], no_data=0.5)[0, :2].tolist() == [pixels[0, 0, ::-1].tolist(), [0.5] * 3]


def test_what_float32_does_not_hold_is_told(tmp_path: Path) -> None:
    pixels = bands_of(1, "uint32")
    pixels[1, 1] = 2**24 + 1
    with pytest.raises(ImageError, match="band 1 holds 16777217, which float32 does not hold"):
        load(write_raster(tmp_path / "a.tif", pixels), bands=[1])
    with pytest.raises(ImageError, match="band 1 holds 1e\\+300"):
        load(write_raster(tmp_path / "a.tif", pixels * 0 + 1e300), bands=[1])
    with pytest.raises(ImageError, match="complex64, which no image has"):
        load(write_raster(tmp_path / "a.tif", pixels.astype(np.complex64)), bands=[1])


def test_a_file_that_names_others_is_refused(tmp_path: Path) -> None:
    import rasterio.shutil

    source = write_raster(tmp_path / "a.tif", bands_of(2))
    rasterio.shutil.copy(source, tmp_path / "a.vrt", driver="VRT")
    with pytest.raises(ImageError, match=r"a\.vrt holds no pixels but text"):
        load(tmp_path / "a.vrt", bands=[1, 2])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(({"bands": bad}, "counted from 1") for bad in ([], [0], [1, 1], [1.0], "12", 4, [True])),
        ({"bands": [1], "no_data": "x"}, "expected a number"),
        ({"bands": [1], "no_data": float("nan")}, "expected a number"),
        ({"no_data": 0}, "goes with bands"),
        ({"bands": [1], "color_type": "unchanged"}, "leave color_type out"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LoadImageFromFile(**options)
