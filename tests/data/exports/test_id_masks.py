"""Folders of pictures and masks of ids, of whatever bits and values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.mask_files import is_coloured

from .prepared import SIZE, make, masks, names, random_ids, save

COLOURS = np.array([[0, 0, 0], [128, 64, 0], [255, 0, 255]], np.uint8)


def ids_of(tmp_path: Path, pixels: Any, suffix: str = ".png", **options: Any) -> tuple[Any, Any]:
    """What masks of such pixels become."""
    save(tmp_path / "in/images/a.jpg", 0)
    save(tmp_path / f"in/masks/a{suffix}", pixels)
    prepared = make(tmp_path / "in", tmp_path / "out", **options)
    assert prepared.export.format == "id_masks"
    return prepared, masks(tmp_path / "out")["train/a"]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("high", [1, 255])
def test_binary_masks(tmp_path: Path, suffix: str, high: int) -> None:
    ids = random_ids(0, 2)
    prepared, found = ids_of(tmp_path, ids * high, suffix)
    np.testing.assert_array_equal(found, ids)
    assert names(prepared) == ["background", "object"]
    assert any("255 is 'object'" in note for note in prepared.export.notes) == (high == 255)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_channels_of_which_two_are_equal_are_colours(tmp_path: Path, channel: int) -> None:
    pixels = np.repeat(random_ids(0, 3)[..., None], 3, -1)
    assert not is_coloured([save(tmp_path / "a.png", pixels)])
    pixels[0, 0, channel] = 9
    assert is_coloured([save(tmp_path / "b.png", pixels)])


def test_binary_masks_of_one_bit_and_of_three_equal_channels(tmp_path: Path) -> None:
    ids = random_ids(0, 2)
    _, found = ids_of(tmp_path / "1", ids.astype(bool))
    np.testing.assert_array_equal(found, ids)
    _, found = ids_of(tmp_path / "3", np.repeat(ids[..., None] * 255, 3, -1))
    np.testing.assert_array_equal(found, ids)


def test_the_name_of_a_single_class_is_the_objects(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("roof\n")
    prepared, _ = ids_of(tmp_path, random_ids(0, 2) * 255, classes=tmp_path / "names.txt")
    assert names(prepared) == ["background", "roof"]


def test_an_all_black_mask_among_others_is_background(tmp_path: Path) -> None:
    save(tmp_path / "in/images/b.jpg", 0)
    save(tmp_path / "in/masks/b.png", np.zeros(SIZE, np.uint8))
    ids_of(tmp_path, random_ids(0, 2) * 255)
    assert (masks(tmp_path / "out")["train/b"] == 0).all()


def test_lossy_binary_masks_are_parted_in_the_middle(tmp_path: Path) -> None:
    ids = np.kron(random_ids(0, 2, (5, 6)), np.ones((8, 10), np.uint8))
    prepared, found = ids_of(tmp_path, ids * 255, ".jpg")
    assert (found == ids).mean() > 0.99
    assert any("lossy files with" in note and "from 128 up is 'object'" in note for note in prepared.export.notes)


def test_lossy_masks_of_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lossy files do not keep ids"):
        ids_of(tmp_path, random_ids(0, 8) * 30, ".jpg")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_ids_with_255_ignored(tmp_path: Path, suffix: str) -> None:
    ids = random_ids(0, 4)
    ids[3] = 255
    prepared, found = ids_of(tmp_path, ids, suffix)
    np.testing.assert_array_equal(found, ids)
    assert names(prepared) == ["class 0", "class 1", "class 2", "class 3"]


def test_ids_of_16_bits(tmp_path: Path) -> None:
    ids = random_ids(0, 4).astype(np.uint16)
    ids[3] = 65535
    _, found = ids_of(tmp_path, ids, ".tif")
    np.testing.assert_array_equal(found, np.where(ids == 65535, 255, ids))


def test_ids_of_32_bits_with_minus_one_and_floating_point(tmp_path: Path) -> None:
    ids = random_ids(0, 4).astype(np.int32)
    ids[3] = -1
    expected = np.where(ids == -1, 255, ids)
    _, found = ids_of(tmp_path / "int", ids, ".tif")
    np.testing.assert_array_equal(found, expected)
    _, found = ids_of(tmp_path / "float", ids.astype(np.float32), ".tif")
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(SourceError, match=r"holds 0\.5: the ids of a mask are whole numbers"):
        ids_of(tmp_path / "half", ids.astype(np.float32) + 0.5, ".tif")


def test_ids_from_one_up(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("road\nroof\ntree\n")
    ids = random_ids(0, 4)
    prepared, found = ids_of(tmp_path, ids, classes=tmp_path / "names.txt")
    np.testing.assert_array_equal(found, np.array([255, 0, 1, 2])[ids])
    assert names(prepared) == ["road", "roof", "tree"]
    _, found = ids_of(tmp_path / "no zero", np.maximum(ids, 1))
    np.testing.assert_array_equal(found, np.maximum(ids, 1) - 1)


def test_one_id_more_than_classes_that_begin_with_background_is_asked_about(tmp_path: Path) -> None:
    """The same files as in the preflight's ``void_label``: 0 has a name, so that nothing may be shifted in silence."""
    ids, file = random_ids(0, 4), tmp_path / "names.txt"
    file.write_text("background\nroof\ntree\n")
    with pytest.raises(
        SourceError, match=r"ids from 0 to 3, and 3 classes .* 'background' .* after the last name if 3"
    ):
        ids_of(tmp_path / "1", ids, classes=file)
    file.write_text("background\nroof\ntree\nvoid\n")
    prepared, found = ids_of(tmp_path / "2", ids, classes=file)
    np.testing.assert_array_equal(found, np.array([0, 1, 2, 255])[ids])
    assert names(prepared) == ["background", "roof", "tree"]
    file.write_text("void\nbackground\nroof\ntree\n")
    prepared, found = ids_of(tmp_path / "3", ids, classes=file)
    np.testing.assert_array_equal(found, np.array([255, 0, 1, 2])[ids])
    file.write_text("background\nroof\ntree\n")
    _, found = ids_of(tmp_path / "4", np.maximum(ids, 1), classes=file)  # 0 is nowhere, so there is no doubt.
    np.testing.assert_array_equal(found, np.maximum(ids, 1) - 1)


def test_the_value_that_a_raster_calls_none_is_ignored(tmp_path: Path) -> None:
    ids = random_ids(0, 4)
    save(tmp_path / "in/images/a.jpg", 0)
    (tmp_path / "in/masks").mkdir()
    profile = {"driver": "GTiff", "height": SIZE[0], "width": SIZE[1], "count": 1, "dtype": "uint8", "nodata": 0}
    with rasterio.open(tmp_path / "in/masks/a.tif", "w", **profile) as data:
        data.write(ids, 1)
    make(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], np.array([255, 0, 1, 2])[ids])


def test_palette_masks_are_read_by_number(tmp_path: Path) -> None:
    ids = random_ids(0, 3)
    mask = Image.fromarray(ids)
    mask.putpalette(COLOURS.ravel().tolist())
    save(tmp_path / "in/images/a.jpg", 0)
    (tmp_path / "in/masks").mkdir()
    mask.save(tmp_path / "in/masks/a.png")
    make(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)


@pytest.mark.parametrize(
    ("pixels", "classes", "message"),
    [
        (random_ids(0, 4) * 80, None, r"4 values up to 240: 0 \(.*Are they ids, numbers of objects, or greys"),
        (random_ids(0, 5), "a\nb\n", r"2 classes are named, and the masks hold 0 \("),
        (np.full(SIZE, 255, np.uint8), "a\nb\nc\n", r"3 classes are named, and the masks hold 255"),
        (random_ids(0, 250).astype(np.uint16) * 30, None, "250 values up to 7470"),
    ],
)
def test_values_that_cannot_be_told(tmp_path: Path, pixels: Any, classes: str | None, message: str) -> None:
    options = {}
    if classes:
        (tmp_path / "names.txt").write_text(classes)
        options["classes"] = tmp_path / "names.txt"
    with pytest.raises(SourceError, match=message):
        ids_of(tmp_path, pixels, ".tif", **options)


@pytest.mark.parametrize("high", [255, 65535])
def test_masks_of_0_and_1_among_those_of_0_and_255_are_of_the_same_classes(tmp_path: Path, high: int) -> None:
    """Of two people, of whom one has saved them to be looked at: 255 was ignored, half of the objects."""
    for number, top in enumerate((1, high, 1, high)):
        save(tmp_path / f"in/images/p{number}.jpg", number)
        pixels = random_ids(number, 2).astype(np.uint16 if top > 255 else np.uint8) * top
        save(tmp_path / f"in/masks/p{number}.png", pixels)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert names(prepared) == ["background", "object"]
    for number in range(4):
        np.testing.assert_array_equal(masks(tmp_path / "out")[f"train/p{number}"], random_ids(number, 2))
    assert f"Some masks hold 0 and 1, others 0 and {high}, and none both" in " ".join(prepared.export.notes)


@pytest.mark.parametrize("alone", [True, False])
def test_255_beside_0_and_1_in_one_mask_is_ignored(tmp_path: Path, alone: bool) -> None:
    """Also where others are ignored as a whole, or have a border and no object."""
    ids = random_ids(0, 2)
    ids[3] = 255
    other = random_ids(1, 2) * np.uint8(255)
    for number, pixels in enumerate((random_ids(0, 2), other | 255) if alone else (ids, other)):
        save(tmp_path / f"in/images/p{number}.jpg", number)
        save(tmp_path / f"in/masks/p{number}.png", pixels)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert "Values 255 are ignored (255)." in prepared.export.notes
    assert (masks(tmp_path / "out")["train/p1"][other == 255] == 255).all()
