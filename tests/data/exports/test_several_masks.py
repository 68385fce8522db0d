"""Folders in which a picture has several masks: one a class, or one an object."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from internvl_seg.data.exports.class_pairs import find_class_pairs
from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.reporting import report
from internvl_seg.data.exports.source import Source

from .prepared import SIZE, make, masks, names, random_ids, save

Mask = NDArray[np.bool_]


def box(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


CAT, DOG = box(2, 2, 20, 30), box(10, 20, 35, 50)


def classes_in(root: Path, cat: str = "masks/cat/{}.png", dog: str = "masks/dog/{}.png", top: int = 255) -> Path:
    """Two pictures, both with a cat and a dog, which overlap."""
    for seed, name in enumerate(("a", "b")):
        save(root / f"images/{name}.jpg", seed)
        save(root / cat.format(name), CAT * np.uint8(top))
        save(root / dog.format(name), DOG * np.uint8(top))
    return root


@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize(
    ("cat", "dog"),
    [
        ("masks/Cat/{}.png", "masks/dog/{}.png"),
        ("masks/Cat/{}_mask.png", "masks/dog/{}_mask.png"),
        ("masks/{}_Cat.png", "masks/{}_dog.tif"),
        ("masks/{}-Cat.png", "masks/{}-dog.png"),
        ("images/{}_Cat.png", "images/{}_dog.png"),
        ("Cat_masks/{}.png", "dog_masks/{}.png"),
        ("gt/train/Cat/{}.png", "gt/train/dog/{}.png"),
        ("2. All Groundtruths/Cat/{}_CA.tif", "2. All Groundtruths/dog/{}_DO.tif"),
    ],
)
def test_a_mask_a_class(tmp_path: Path, cat: str, dog: str, top: int) -> None:
    prepared = make(classes_in(tmp_path / "in", cat, dog, top), tmp_path / "out")
    assert prepared.export.format == "class_masks"
    assert names(prepared) == ["background", "Cat", "dog"]
    expected = np.where(DOG, 2, np.where(CAT, 1, 0))
    for name in "ab":
        np.testing.assert_array_equal(masks(tmp_path / "out")[f"train/{name}"], expected)
    both = 2 * int((CAT & DOG).sum())
    assert any(
        note.startswith(f"{both} pixels are claimed by objects of different") for note in report(prepared)["notes"]
    )
    assert any("the last has the pixel, of: Cat, dog." in note for note in prepared.export.notes)


@pytest.mark.parametrize("beside", [True, False])
def test_a_file_of_classes_says_which_is_on_top(tmp_path: Path, beside: bool) -> None:
    root = classes_in(tmp_path / "in")
    file = (root if beside else tmp_path) / "classes.txt"
    file.write_text("dog #ff0000\ncat\n")
    prepared = make(root, tmp_path / "out", classes=None if beside else file)
    assert names(prepared) == ["background", "dog", "cat"]
    assert prepared.ids.classes[1].colour == (255, 0, 0)
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], np.where(CAT, 2, np.where(DOG, 1, 0)))
    file.write_text("bird\n")
    with pytest.raises(SourceError, match=r"names bird; the masks are of cat, dog, none of them"):
        make(root, tmp_path / "other", classes=None if beside else file)


def test_classes_that_are_not_asked_for_hide_none_that_are(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\n")
    make(classes_in(tmp_path / "in"), tmp_path / "out", classes=tmp_path / "names.txt")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], np.where(CAT, 1, np.where(DOG, 255, 0)))


def test_several_masks_of_one_class_are_united_and_one_may_be_missing(tmp_path: Path) -> None:
    root = classes_in(tmp_path / "in", "masks/{}_cat_1.png", "masks/{}_dog.png")
    third = box(30, 2, 38, 10)
    save(root / "masks/a_cat_2.png", third * np.uint8(255))
    (root / "masks/b_dog.png").unlink()
    save(root / "images/c.jpg", 2)
    save(root / "masks/z_dog.png", third * np.uint8(255))
    prepared = make(root, tmp_path / "out")
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/a"], np.where(DOG, 2, np.where(CAT | third, 1, 0)))
    np.testing.assert_array_equal(masks(tmp_path / "out")["train/b"], CAT)
    text = " ".join(prepared.export.notes)
    assert "Pictures with several masks of one class, which are united: 1; the first is images/a.jpg." in text
    assert "without that class: 1; the first is images/b.jpg." in text
    assert "Masks without a picture, not used: 1; the first is masks/z_dog.png." in text
    assert prepared.plan.left_out == {"images/c": "it has no labels"}


def test_tiles_are_those_of_the_whole(tmp_path: Path) -> None:
    make(classes_in(tmp_path / "in"), tmp_path / "out", tile=20, keep_empty=1.0)
    expected = np.where(DOG, 2, np.where(CAT, 1, 0))
    for name, mask in masks(tmp_path / "out").items():
        top, left = (int(part[1:]) for part in name.split("_")[-2:])
        np.testing.assert_array_equal(mask, expected[top : top + 20, left : left + 20])


def test_pictures_elsewhere(tmp_path: Path) -> None:
    root = classes_in(tmp_path / "in")
    (root / "images").rename(tmp_path / "photos")
    for source in (root, root / "masks"):
        prepared = make(source, tmp_path / f"out_{source.name}", images=tmp_path / "photos")
        assert names(prepared) == ["background", "cat", "dog"]


def test_a_mask_of_more_than_two_values_is_refused(tmp_path: Path) -> None:
    root = classes_in(tmp_path / "in")
    save(root / "masks/cat/a.png", random_ids(0, 3))
    with pytest.raises(SourceError, match=r"cat/a\.png holds 2 values beside 0, such as 1 and 2"):
        make(root, tmp_path / "out", format="class_masks")


@pytest.mark.parametrize(
    "files",
    [
        ["images/x/a.jpg", "masks/x/a.png", "images/y/b.jpg", "masks/y/b.png"],
        ["images/a.jpg", "masks/train/a.png", "images/b.jpg", "masks/val/b.png"],
        ["images/a.jpg", "masks/a.png", "masks/cat/a.png", "masks/dog/a.png"],
        ["images/a.jpg", "masks/a_1.png", "masks/a_2.png"],
        ["images/a.jpg", "images/a_2.jpg", "masks/a.png", "masks/a_2.png"],
        ["images/x/a.jpg", "images/y/a.jpg", "masks/a.png"],
        ["a.jpg"],
    ],
)
def test_what_is_no_mask_a_class(files: list[str]) -> None:
    assert find_class_pairs(files) is None


def test_one_class_has_one_spelling() -> None:
    pairs = find_class_pairs(
        ["images/cat1.jpg", "images/b.jpg", "masks/Cat/cat1.png", "masks/Cat/b.png", "masks/x/b.png"]
    )
    assert pairs is not None
    assert {kind for some in pairs.found.values() for kind, _ in some} == {"Cat", "x"}
    pairs = find_class_pairs(["images/a.jpg", "images/b.jpg", "masks/a_Cat.png", "masks/b_cat.png", "masks/b_x.png"])
    assert pairs is not None
    assert {kind for some in pairs.found.values() for kind, _ in some} == {"Cat", "x"}


def test_equal_names_in_folders_are_told_apart() -> None:
    files = [f"images/{site}/a.jpg" for site in "xy"]
    files += [f"masks/{site}/{kind}/a.png" for site in "xy" for kind in ("cat", "dog")]
    pairs = find_class_pairs(files)
    assert pairs is not None
    assert pairs.found == {
        f"images/{site}/a.jpg": [(kind, f"masks/{site}/{kind}/a.png") for kind in ("cat", "dog")] for site in "xy"
    }


def nuclei(root: Path) -> Path:
    """As stage1_train and stage1_test of Kaggle's Data Science Bowl 2018 are unpacked, with its table."""
    for seed, name in enumerate(("00ae65", "0a7d30")):
        save(root / f"stage1_train/{name}/images/{name}.png", seed)
        save(root / f"stage1_train/{name}/masks/07a9bf.png", CAT * np.uint8(255))
        save(root / f"stage1_train/{name}/masks/8b1c0d.png", DOG * np.uint8(255))
    save(root / "stage1_test/0f1f89/images/0f1f89.png", 2)
    (root / "stage1_train_labels.csv").write_text("ImageId,EncodedPixels\n00ae65,1 3\n")
    return root


@pytest.mark.parametrize("named", [None, "cell\n", "background\ncell\n"])
def test_a_mask_an_object(tmp_path: Path, named: str | None) -> None:
    root = nuclei(tmp_path / "in")
    if named:
        (tmp_path / "names.txt").write_text(named)
    prepared = make(root, tmp_path / "out", classes=tmp_path / "names.txt" if named else None)
    assert prepared.export.format == "object_masks"
    assert names(prepared) == ["background", "cell" if named else "nucleus"]
    for name in ("00ae65", "0a7d30"):
        np.testing.assert_array_equal(masks(tmp_path / "out")[f"train/{name}"], CAT | DOG)
    assert list(prepared.plan.left_out.values()) == ["it has no labels"]
    text = " ".join(prepared.export.notes)
    assert "all objects are of one class" in text
    assert "Tables beside the masks, not used: 1; the first is stage1_train_labels.csv." in text


def test_a_mask_an_object_is_of_one_class_and_two_values(tmp_path: Path) -> None:
    root = nuclei(tmp_path / "in")
    (tmp_path / "names.txt").write_text("cell\nglass\n")
    with pytest.raises(SourceError, match=r"names cell, glass: the masks are of objects of one class"):
        make(root, tmp_path / "out", classes=tmp_path / "names.txt")
    save(root / "stage1_train/0a7d30/masks/07a9bf.png", random_ids(0, 3))
    with pytest.raises(SourceError, match=r"07a9bf\.png holds 2 values beside 0"):
        make(root, tmp_path / "out", format="object_masks")


def test_a_folder_a_scene_with_one_mask_of_its_name_is_no_mask_an_object(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}/images/{name}.png", 0)
        save(tmp_path / f"{name}/masks/{name}.png", random_ids(0, 2))
    assert find_format(Source(tmp_path))[0].__name__.endswith("id_masks")
