"""Tiles cover all, share what they are to share, and hold what the raster holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from internvl_seg.data.exports.export import SourceError, Window
from internvl_seg.data.exports.pictures import Picture
from internvl_seg.data.exports.planning import Options
from internvl_seg.data.exports.tiling import blocks, cut

sides = st.integers(1, 90)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by_blocks": True}, "are about tiles"),
        ({"overlap": 1}, "are about tiles"),
        ({"tile": 8, "overlap": 8}, "--overlap 8: expected from 0 to 7"),
        ({"tile": 8, "overlap": -1}, "--overlap -1: expected from 0 to 7"),
        ({"keep_empty": 1.1}, "--keep-empty 1.1: expected a share"),
        ({"keep_empty": -0.1}, "--keep-empty -0.1: expected a share"),
        ({"tile": 8, "by_blocks": True, "group": "folder"}, "leave one out"),
        ({"lists": (Path("train.txt"),), "shares": (1.0, 0.0, 0.0)}, "leave --split and --split-tiles out"),
        ({"lists": (Path("train.txt"),), "tile": 8, "by_blocks": True}, "leave --split and --split-tiles out"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        Options(**options).check()


def test_options_at_their_limits_go_together() -> None:
    Options(tile=1, keep_empty=1, group="folder").check()
    Options(tile=8, overlap=7, keep_empty=0, by_blocks=True).check()


@given(height=sides, width=sides, tile=st.integers(1, 40), share=st.floats(0, 0.95))
def test_tiles_cover_every_pixel_and_are_whole(height: int, width: int, tile: int, share: float) -> None:
    overlap = int(share * tile)
    seen = np.zeros((height, width), int)
    windows = cut(Window(0, 0, height, width), tile, overlap)
    for top, left, rows, columns in windows:
        assert (rows, columns) == (min(tile, height), min(tile, width))
        seen[top : top + rows, left : left + columns] += 1
        assert top + rows <= height
        assert left + columns <= width
    assert seen.min() == 1 or (seen.min() > 1 and overlap)
    assert len(set(windows)) == len(windows)


@given(height=sides, width=sides, side=st.integers(1, 40), tile=st.integers(1, 20))
def test_tiles_of_different_blocks_share_no_pixel(height: int, width: int, side: int, tile: int) -> None:
    seen = np.zeros((height, width), int)
    for block in blocks((height, width), side):
        assert block.height >= min(side, height)
        assert block.width >= min(side, width)
        mine = np.zeros((height, width), bool)
        for top, left, rows, columns in cut(block, tile, tile // 2):
            mine[top : top + rows, left : left + columns] = True
        seen += mine
    assert (seen == 1).all()


def raster(path: Path, pixels: np.ndarray[Any, Any], **profile: Any) -> Path:
    given = {"driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype, "crs": "EPSG:32633"}
    given |= {"height": pixels.shape[1], "width": pixels.shape[2], "transform": from_origin(4e5, 5.8e6, 0.2, 0.2)}
    with rasterio.open(path, "w", **{**given, **profile}) as data:
        data.write(pixels)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_georeferenced_tiles_keep_values_bands_and_place(
    tmp_path: Path, dtype: str, bands: int, layout: dict[str, Any]
) -> None:
    high = 255 if dtype == "uint8" else 4000
    pixels = np.random.default_rng(0).uniform(0, high, (bands, 50, 70)).astype(dtype)
    path = raster(tmp_path / "a.tif", pixels, nodata=0, **layout)
    with Picture(path, "a") as picture:
        for window in cut(Window(0, 0, 50, 70), 32, 8):
            suffix, content = picture.encode(window)
            assert suffix == ".tif"
            (tmp_path / "tile.tif").write_bytes(content)
            with rasterio.open(tmp_path / "tile.tif") as tile:
                top, left, rows, columns = window
                np.testing.assert_array_equal(tile.read(), pixels[:, top : top + rows, left : left + columns])
                assert tile.dtypes == (dtype,) * bands
                assert tile.crs == "EPSG:32633"
                assert tile.nodata == 0
                assert tile.transform.almost_equals(from_origin(4e5 + left * 0.2, 5.8e6 - top * 0.2, 0.2, 0.2))


def test_bands_keep_their_names_meanings_and_bits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (4, 20, 20), dtype=np.uint16)
    path = raster(tmp_path / "a.tif", pixels, nbits=12, photometric="RGB")
    with rasterio.open(path, "r+") as data:
        data.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined]
        data.descriptions = ("red", "green", "blue", "near infrared")
    with Picture(path, "a") as picture:
        (tmp_path / "tile.tif").write_bytes(picture.encode(Window(3, 4, 10, 10))[1])
    with rasterio.open(tmp_path / "tile.tif") as tile:
        assert tile.descriptions == ("red", "green", "blue", "near infrared")
        assert tile.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        assert tile.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "12"
        np.testing.assert_array_equal(tile.read(), pixels[:, 3:13, 4:14])


def test_a_plain_picture_becomes_png_as_it_is_to_be_seen(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    seen = np.rot90(pixels, -1)
    with Picture(tmp_path / "a.png", "a") as picture:
        assert picture.size == (50, 30)
        for window in (Window(0, 0, 20, 10), Window(30, 20, 20, 10)):
            suffix, content = picture.encode(window)
            assert suffix == ".png"
            (tmp_path / "tile.png").write_bytes(content)
            tile = np.asarray(Image.open(tmp_path / "tile.png"))
            top, left = window[:2]
            np.testing.assert_array_equal(tile, seen[top : top + 20, left : left + 10])


def test_ground_control_points_move_with_the_tile(tmp_path: Path) -> None:
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 40), (40, 0), (40, 40))]
    pixels = np.ones((1, 40, 40), np.uint8)
    path = raster(tmp_path / "a.tif", pixels, transform=Affine.identity(), gcps=points, crs="EPSG:4326")
    with Picture(path, "a") as picture:
        (tmp_path / "tile.tif").write_bytes(picture.encode(Window(10, 20, 8, 8))[1])
    with rasterio.open(tmp_path / "tile.tif") as tile:
        assert next((p.row, p.col, p.x, p.y) for p in tile.gcps[0]) == (-10, -20, 10, 50)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.png cannot be read"):
        Picture(tmp_path / "a.png", "a")


def test_only_the_rows_of_a_tile_are_in_memory(tmp_path: Path) -> None:
    """A raster in strips is decoded by rows of tiles, once each."""
    pixels = np.zeros((1, 4000, 50), np.uint8)
    path = raster(tmp_path / "a.tif", pixels, blockysize=8)
    with Picture(path, "a") as picture:
        for window in cut(Window(0, 0, 4000, 50), 20, 0):
            picture.read(window)
            assert [kept.shape for _, kept in picture._strips.values()] == [(1, 20, 50)]
