"""Masks of ids of which some pixels are transparent, without data, or of several bands."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from internvl_seg.data.exports.export import SourceError

from .prepared import SIZE, make, masks, names, random_ids, save
from .refusals import refusal

Pixels = NDArray[np.uint8]
IDS = random_ids(0, 3)


def rgba(colour: Pixels, opaque: NDArray[np.bool_]) -> Pixels:
    return np.dstack([colour, colour, colour, np.where(opaque, 255, 0)]).astype(np.uint8)


def folder(tmp_path: Path, mask: Pixels | Image.Image, **options: object) -> Path:
    save(tmp_path / "in/images/a.jpg", 0)
    (tmp_path / "in/masks").mkdir()
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(tmp_path / "in/masks/a.png", **options)
    return tmp_path / "in"


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_transparent_pixels_have_no_label_whatever_is_below(tmp_path: Path, channels: str) -> None:
    opaque = np.random.default_rng(1).random(SIZE) > 0.4
    mask = rgba(IDS, opaque)
    prepared = make(folder(tmp_path, mask if channels == "rgb" else mask[..., [0, 3]]), tmp_path / "out")
    assert names(prepared) == ["class 0", "class 1", "class 2"]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], np.where(opaque, IDS, 255))
    assert f"{np.count_nonzero(~opaque)} transparent pixels count as not labelled." in prepared.export.notes


@pytest.mark.parametrize("paint", [0, 7, 255])
def test_one_paint_on_nothing_is_an_object_on_background(tmp_path: Path, paint: int) -> None:
    painted = IDS == 1
    prepared = make(folder(tmp_path, rgba(np.full(SIZE, paint, np.uint8), painted)), tmp_path / "out")
    assert names(prepared) == ["background", "object"]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], painted)
    assert "Pixels that are not transparent are 'object'." in prepared.export.notes


def test_masks_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="All pixels of the masks are transparent"):
        make(folder(tmp_path, rgba(IDS, np.zeros(SIZE, np.bool_))), tmp_path / "out")


def test_a_transparent_colour_of_a_palette_is_an_id_as_any(tmp_path: Path) -> None:
    mask = Image.fromarray(IDS)
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    prepared = make(folder(tmp_path, mask, transparency=0), tmp_path / "out")
    assert names(prepared) == ["class 0", "class 1", "class 2"]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], IDS)


@pytest.mark.parametrize(("high", "nodata"), [(1, 0), (255, 0), (255, 255)])
def test_no_data_of_two_values_is_one_of_them(tmp_path: Path, high: int, nodata: int) -> None:
    """As gdal_rasterize writes them."""
    object_ = (IDS == 1).astype(np.uint8)
    save(tmp_path / "in/images/a.jpg", 0)
    (tmp_path / "in/masks").mkdir()
    profile = {"driver": "GTiff", "height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint8", "nodata": nodata}
    with rasterio.open(tmp_path / "in/masks/a.tif", "w", **profile) as file:
        file.write(object_ * high, 1)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert names(prepared) == ["background", "object"]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], object_)
    assert not [note for note in prepared.export.notes if "ignored" in note]


@pytest.mark.parametrize("bands", [2, 5])
def test_bands_that_differ_are_no_ids(tmp_path: Path, bands: int) -> None:
    save(tmp_path / "in/images/a.jpg", 0)
    (tmp_path / "in/masks").mkdir()
    with rasterio.open(
        tmp_path / "in/masks/a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands, dtype="uint8"
    ) as file:
        file.write(np.stack([random_ids(seed, 3) for seed in range(bands)]))
    _, words = refusal(lambda: make(tmp_path / "in", tmp_path / "out", format="id_masks"))
    assert f"a.tif has {bands} bands that differ: ids in one band were expected" in words


def test_nothing_but_0_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    source = folder(tmp_path, np.zeros(SIZE, np.uint8))
    with pytest.raises(SourceError, match="hold nothing but 0, so that there is nothing to tell apart"):
        make(source, tmp_path / "out")
    (tmp_path / "classes.txt").write_text("ground\nship\n")
    assert names(make(source, tmp_path / "out", classes=tmp_path / "classes.txt")) == ["ground", "ship"]


def test_smooth_edges_are_told_the_way_that_works(tmp_path: Path) -> None:
    large = Image.fromarray(((IDS == 1) * 255).astype(np.uint8)).resize((2 * SIZE[1], 2 * SIZE[0]), Image.BILINEAR)
    mask = large.resize((SIZE[1], SIZE[0]))
    source = folder(tmp_path, mask)
    with pytest.raises(SourceError, match=r"'background #000000' and 'object #ffffff'.*--colour-distance 255"):
        make(source, tmp_path / "out")
    (tmp_path / "classes.txt").write_text("background #000000\nobject #ffffff\n")
    make(source, tmp_path / "out", classes=tmp_path / "classes.txt", colour_distance=255)
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], np.asarray(mask) >= 128)
