"""Where masks lie that belong to pictures, in the layouts that people and data sets have."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from .prepared import make, masks, random_ids, save

COUNT = 3


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("rgb/{}.png", "semantic/{}.png"),
        ("{}_rgb.png", "{}_semantic.png"),
        ("img/{}.png", "lbl/{}.png"),
        # nnU-Net's: https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md.
        ("imagesTr/{}_0000.png", "labelsTr/{}.png"),
        # labelme_json_to_dataset's, and others with a folder a picture.
        ("{}_json/img.png", "{}_json/label.png"),
        ("{}/image.jpg", "{}/mask.png"),
        # Folders above all files say nothing of any.
        ("segmentation_data/images/{}.png", "segmentation_data/masks/{}.png"),
        ("mask data/a/gt_1/images/{}.png", "mask data/a/gt_1/annotations/{}.png"),
    ],
)
def test_masks_are_found(tmp_path: Path, picture: str, mask: str) -> None:
    for number in range(COUNT):
        save(tmp_path / "in" / picture.format(f"n{number}"), number)
        save(tmp_path / "in" / mask.format(f"n{number}"), random_ids(number, 3))
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert prepared.export.format == "id_masks"
    found = masks(tmp_path / "out")
    assert len(found) == COUNT
    for name, ids in found.items():
        (number,) = (number for number in range(COUNT) if f"n{number}" in name)
        np.testing.assert_array_equal(ids, random_ids(number, 3))


def test_several_channels_of_a_picture_are_not_chosen_from(tmp_path: Path) -> None:
    for number in range(COUNT):
        for channel in range(2):
            save(tmp_path / f"in/imagesTr/n{number}_000{channel}.png", number)
        save(tmp_path / f"in/labelsTr/n{number}.png", random_ids(number, 3))
    with pytest.raises(RuntimeError, match="no pictures with masks of like names"):
        make(tmp_path / "in", tmp_path / "out")


def test_a_picture_may_be_called_mask(tmp_path: Path) -> None:
    for number, name in enumerate(["mask", "image", "label"]):
        save(tmp_path / f"in/images/{name}.jpg", number)
        save(tmp_path / f"in/masks/{name}.png", random_ids(number, 3))
    make(tmp_path / "in", tmp_path / "out")
    assert set(masks(tmp_path / "out")) == {"train/mask", "train/image", "train/label"}


@pytest.mark.parametrize("inside", [False, True])
def test_named_pictures_have_masks_in_a_folder_of_any_name(tmp_path: Path, inside: bool) -> None:
    pictures = tmp_path / ("in/x" if inside else "x")
    for number in range(COUNT):
        save(pictures / f"n{number}.jpg", number)
        save(tmp_path / f"in/y/n{number}.png", random_ids(number, 3))
    make(tmp_path / "in", tmp_path / "out", images=pictures)
    for number in range(COUNT):
        np.testing.assert_array_equal(masks(tmp_path / "out")[f"train/n{number}"], random_ids(number, 3))


def lesions(root: Path, high: int = 255, count: int = 2) -> dict[str, NDArray[np.uint8]]:
    """As BUSI's pictures with more than one lesion: 'benign (4)_mask.png' and 'benign (4)_mask_1.png'."""
    found = {}
    for number in range(COUNT):
        save(root / f"benign ({number}).png", number)
        found[f"train/benign ({number})"] = random_ids(number, count)
        save(root / f"benign ({number})_mask.png", random_ids(number, count) * np.uint8(high))
    save(root / "benign (1)_mask_1.png", random_ids(9, count) * np.uint8(high))
    return found


@pytest.mark.parametrize("high", [1, 255])
def test_masks_of_two_values_of_an_object_each_are_united(tmp_path: Path, high: int) -> None:
    expected = lesions(tmp_path / "in", high)
    expected["train/benign (1)"] |= random_ids(9, 2)
    prepared = make(tmp_path / "in", tmp_path / "out")
    found = masks(tmp_path / "out")
    assert found.keys() == expected.keys()
    for name, ids in expected.items():
        np.testing.assert_array_equal(found[name], ids)
    text = " ".join(prepared.export.notes)
    assert "1 pictures have several masks, which are united; the first is benign (1).png." in text
    assert "not used" not in text


def test_masks_of_ids_of_an_object_each_are_not_chosen_from(tmp_path: Path) -> None:
    lesions(tmp_path / "in", 1, 3)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert set(masks(tmp_path / "out")) == {"train/benign (0)", "train/benign (2)"}
    ((name, words),) = prepared.failed.items()
    assert name == "benign (1)"
    assert "has 2 masks, benign (1)_mask.png and benign (1)_mask_1.png" in words


def test_pictures_of_one_mask_are_told_and_kept_together(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / f"in/images/n{number}.png", number)
        save(tmp_path / f"in/rgb/n{number}.png", number)
        save(tmp_path / f"in/masks/n{number}.png", random_ids(number, 3))
    prepared = make(tmp_path / "in", tmp_path / "out", shares=(0.5, 0.3, 0.2))
    found = masks(tmp_path / "out")
    assert len(found) == 24
    for number in range(12):
        assert len({name.split("/")[0] for name in found if name.endswith(f"n{number}")}) == 1
    assert any("24 pictures have a mask that is another's, too" in note for note in prepared.export.notes)
