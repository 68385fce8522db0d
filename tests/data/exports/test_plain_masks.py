"""Folders that no tool has laid out: masks in colours and of ids, in whatever files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.colour_tables import read_classes
from internvl_seg.data.exports.export import ClassLabel, SourceError
from internvl_seg.data.exports.pairs import find_pairs, split_of_folders

from .prepared import SIZE, make, masks, names, random_ids, save

COLOURS = np.array([[0, 0, 0], [128, 64, 0], [255, 0, 255]], np.uint8)


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("a.jpg", "a_mask.png"),
        ("a.jpg", "a-labels.png"),
        ("a.jpg", "a_seg.bmp"),
        ("7_sat.jpg", "7_mask.png"),
        ("a.jpg", "a_GT.tif"),
        ("images/a.jpg", "masks/a.png"),
        ("images/a.jpg", "masks/a_mask.png"),
        ("images/train/a.jpg", "labels/train/a.tif"),
        ("train/images/a.jpg", "train/masks/a.png"),
        ("train/a.png", "trainannot/a.png"),
        ("train_images/a.jpg", "train_labels/a.png"),
        ("imgs/site 1/north/a.jpg", "GroundTruth/site 1/north/a.png"),
        ("x/a.jpg", "Segmentation_Masks/a.png"),
        ("a.v1.jpg", "mask_a.v1.png"),
    ],
)
def test_pairs(picture: str, mask: str) -> None:
    others = {"data/readme.txt", "other.jpg"}
    found = find_pairs([picture, mask, *others])
    assert found.found == [(picture, mask)]
    assert "other.jpg" in found.without_mask


def test_equal_names_in_folders_are_told_apart_and_further_masks_are_told() -> None:
    files = [f"{kind}/{site}/a.png" for kind in ("images", "masks", "masks_color") for site in "xyz"]
    found = find_pairs([*files, "masks/x/lonely.png"])
    assert found.found == [(f"images/{site}/a.png", f"masks/{site}/a.png") for site in "xyz"]
    assert found.without_picture == ["masks/x/lonely.png"]


def test_splits_in_folders() -> None:
    assert split_of_folders("images/validation/a.png") == "val"
    assert split_of_folders("trainannot/a.png") == "train"
    assert split_of_folders("test_images/a.png") == "test"
    assert split_of_folders("images/a.png") is None


TABLES = {
    "labelmap.txt": "# label:color_rgb:parts:actions\nnothing:0,0,0::\nroad:128,64,0::\nsea lion:255,0,255::\n",
    "class_dict.csv": "name,r,g,b\nnothing,0,0,0\nroad,128,64,0\nsea lion,255,0,255\n",
    "label_colors.txt": "0 0 0\t\tnothing\n128 64 0\t\troad\n255 0 255\t\tsea lion\n",
    "classes.txt": "nothing #000000\nroad 128 64 0\nsea lion, 255, 0, 255\n",
    "colormap.json": '{"nothing": [0, 0, 0], "road": "#804000", "sea lion": [255, 0, 255]}',
    "color_classes.csv": "label;x\n",
}


@pytest.mark.parametrize("table", list(TABLES)[:-1])
def test_masks_in_colours_with_a_table_beside_them(tmp_path: Path, table: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / table).write_text(TABLES[table])
    ids = random_ids(0, 3)
    save(tmp_path / "in/images/a.jpg", 0)
    save(tmp_path / "in/masks/a.png", COLOURS[ids])
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert [tuple(label) for label in prepared.ids.classes] == [
        ("nothing", (0, 0, 0)),
        ("road", (128, 64, 0)),
        ("sea lion", (255, 0, 255)),
    ]
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)
    assert (tmp_path / "out/classes.txt").read_text() == "nothing #000000\nroad #804000\nsea lion #ff00ff\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "a,b\n1,2\n", "no column of"),
        ("c.csv", "name,r,g,b\nroad,1,2\n", "has no colour of three numbers"),
        ("c.csv", "name,r,g,b\n", "names no class"),
        ("c.csv", "name,colour\nroad\n", r"c\.csv: the line 'road' has no colour of three numbers"),
        ("c.csv", "r,g,b,name\n1,2,3\n", r"c\.csv: the line '1,2,3' has no name in the column 'name'"),
        ("c.csv", f"name,r,g,b\n{'a' * 200_000},1,2,3\n", r"c\.csv is no CSV: field larger"),
        ("c.json", "[" * 100_000, r"c\.json is no JSON"),
        ("c.json", "[1]", "is no table of classes"),
        ("c.json", "{", "is no JSON"),
        ("c.txt", "1 2 3 a\n4 5 6 a\n", "names 'a' twice"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        read_classes(tmp_path / name)


def test_a_table_of_names_alone(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,Name\n0,road\n1, sea lion\n")
    assert read_classes(tmp_path / "c.csv") == [("road", None), ("sea lion", None)]


def test_colours_without_a_table_are_listed(tmp_path: Path) -> None:
    save(tmp_path / "in/images/a.jpg", 0)
    save(tmp_path / "in/masks/a.png", COLOURS[np.zeros(SIZE, int)])
    save(tmp_path / "in/images/b.jpg", 0)
    save(tmp_path / "in/masks/b.png", COLOURS[np.ones(SIZE, int)])
    with pytest.raises(
        SourceError,
        match=r"Which colour is which class\?.*road #804000, and give it.*\n  #000000  50\.00 %.*\n  #804000  50",
    ):
        make(tmp_path / "in", tmp_path / "out")


def test_smooth_edges_are_counted_and_the_nearest_is_taken_when_asked(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/labelmap.txt").write_text(TABLES["labelmap.txt"])
    ids = random_ids(0, 3)
    colours = COLOURS[ids].astype(int)
    noisy = np.clip(colours + np.random.default_rng(0).integers(-9, 10, colours.shape), 0, 255).astype(np.uint8)
    save(tmp_path / "in/a.jpg", 0)
    save(tmp_path / "in/a_mask.png", noisy)
    with pytest.raises(SourceError, match=r"pixels in \d+ colours that are no class.*--colour-distance"):
        make(tmp_path / "in", tmp_path / "out")
    make(tmp_path / "in", tmp_path / "near", colour_distance=20)
    np.testing.assert_array_equal(masks(tmp_path / "near")["train/a"], ids)


def test_void_and_transparent_pixels_have_no_label(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/labelmap.txt").write_text("Void:0,0,0::\nroad:128,64,0::\nsea lion:255,0,255::\n")
    ids = random_ids(0, 3)
    rgba = np.dstack([COLOURS[ids], np.full(SIZE, 255, np.uint8)])
    rgba[3, :, 3] = 0  # Whatever the colour below is.
    save(tmp_path / "in/a.jpg", 0)
    save(tmp_path / "in/a_mask.png", rgba)
    expected = np.array([255, 0, 1])[ids]
    expected[3] = 255
    prepared = make(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], expected)
    assert names(prepared) == ["road", "sea lion"]
    prepared = make(tmp_path / "in", tmp_path / "other", unlabelled="background")
    assert names(prepared) == ["background", "road", "sea lion"]
    np.testing.assert_array_equal(masks(tmp_path / "other")["train/a"], np.where(expected == 255, 0, expected + 1))


def test_palette_masks_are_read_by_colour_where_a_table_names_colours(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/labelmap.txt").write_text(TABLES["labelmap.txt"])
    ids = random_ids(0, 3)
    save(tmp_path / "in/images/b.jpg", 1)
    save(tmp_path / "in/masks/b.png", COLOURS[ids])
    save(tmp_path / "in/images/a.jpg", 0)
    mask = Image.fromarray(np.uint8(2) - ids)
    mask.putpalette(COLOURS[::-1].ravel().tolist())
    mask.save(tmp_path / "in/masks/a.png")
    make(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)


def test_greys_with_a_table(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("road #000000\nroof #555555\ntree #aaaaaa\n")
    ids = random_ids(0, 3)
    save(tmp_path / "in/images/a.jpg", 0)
    save(tmp_path / "in/masks/a.png", ids * 0x55)
    prepared = make(tmp_path / "in", tmp_path / "out", classes=tmp_path / "names.txt")
    assert prepared.export.format == "colour_masks"
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], ids)


def test_a_value_that_the_named_classes_lack_is_an_error_of_that_mask(tmp_path: Path) -> None:
    assert ClassLabel("road").colour is None
    (tmp_path / "in").mkdir()
    (tmp_path / "in/labelmap.txt").write_text(TABLES["labelmap.txt"])
    for name in "ab":
        save(tmp_path / f"in/images/{name}.jpg", 0)
    save(tmp_path / "in/masks/a.png", COLOURS[random_ids(0, 3)])
    wrong = COLOURS[random_ids(0, 3)]
    wrong[0, :7] = (1, 2, 3)
    save(tmp_path / "in/masks/b.png", wrong)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert list(masks(tmp_path / "out")) == ["train/a"]
    assert "7 pixels in 1 colours that are no class: #010203" in prepared.failed["images/b"]


def test_what_is_no_picture_has_no_mask() -> None:
    found = find_pairs(["images/a.png", "images/a.pdf", "images/a.vrt", "masks/a.png", "masks/notes.h5"])
    assert found.found == [("images/a.png", "masks/a.png")]
    assert found[1:] == ([], [], [], {})
