"""Rasters of bands are read in parts as they are as a whole, and drawn by a stated choice."""

from pathlib import Path

import numpy as np
import pytest

from internvl_seg.data.band_pictures import draw_bands
from internvl_seg.data.bands import BandReader, ImageError, Pixels
from internvl_seg.inference.rasters import RasterReader

from ..rasters import write_raster

BLOCKS = {"tiled": True, "blockxsize": 16, "blockysize": 16}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_rows_are_those_of_the_whole(dtype: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 100, (50, 33, 5)).astype(dtype)
    path = write_raster(tmp_path / "a.tif", pixels, **BLOCKS)
    reader = BandReader((5, 1, 2, 4))
    with RasterReader(path, reader=reader) as raster:
        rows = [raster.rows(start, min(start + 20, 50)) for start in (0, 15, 30)]
        assert raster.preview(10).shape == (10, 6, 3)
        assert not raster.masked
    whole = reader.read_file(str(path)).values
    assert np.array_equal(whole, pixels[..., [4, 0, 1, 3]])
    for start, part in zip((0, 15, 30), rows, strict=True):
        assert np.array_equal(part, whole[start : start + 20])


def test_pixels_without_data_are_told_or_masked(tmp_path: Path) -> None:
    pixels = np.ones((20, 10, 2), np.float32)
    pixels[7, 3, 1] = np.nan
    path = write_raster(tmp_path / "a.tif", pixels)
    with RasterReader(path, reader=BandReader((1, 2))) as raster, pytest.raises(ImageError, match=r"a\.tif: 1 pixel"):
        raster.rows(0, 20)
    with RasterReader(path, reader=BandReader((1, 2), 5.0)) as raster:
        assert raster.rows(0, 20)[7, 3].tolist() == [5, 5]
        valid = raster.valid_rows(0, 20)
        assert valid is not None
        assert np.argwhere(~valid).tolist() == [[7, 3]]


def test_the_first_three_bands_are_drawn_from_their_2nd_to_their_98th_percentile() -> None:
    values = np.stack([np.arange(101.0), 1000 - np.arange(101.0), np.full(101, 3.0), np.zeros(101)], -1)[None]
    drawn = draw_bands(Pixels(values.astype(np.float32), np.ones((1, 101), bool)))[0]
    assert drawn[[0, 2, 50, 98, 100], 0].tolist() == [0, 0, 128, 255, 255]
    assert drawn[[0, 50, 100], 1].tolist() == [255, 128, 0]
    assert set(drawn[:, 2].tolist()) == {128}
    grey = draw_bands(Pixels(values[..., :1].astype(np.float32), np.arange(101)[None] > 0))[0]
    assert (grey[..., 0] == grey[..., 2]).all()
    assert grey[0].tolist() == [0, 0, 0]


def test_arrays_are_of_as_many_bands_as_the_model_takes() -> None:
    grey, two = np.arange(6.0).reshape(2, 3), np.arange(12, dtype=np.int16).reshape(2, 3, 2)
    assert np.array_equal(BandReader((1,)).of_array(grey), grey[..., None])
    assert np.array_equal(BandReader((1, 2)).of_array(two), two)
    for array in (grey, two[..., :1], two[None], two[:0]):
        with pytest.raises(ImageError, match=r"An array is \(.*; the model takes \(H, W, 2\)"):
            BandReader((1, 2)).of_array(array)
