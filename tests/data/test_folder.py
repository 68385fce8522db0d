from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from internvl_seg.data.folder import FolderError, class_weights, read_classes

LOAD = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two training images, of two formats, with classes 0 to 2 and ignored pixels."""
    init_default_scope("mmseg")
    for kind in ("images", "annotations"):
        (tmp_path / kind / "train").mkdir(parents=True)
    for i, suffix in enumerate((".jpg", ".tif")):
        Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "images" / "train" / f"image{i}{suffix}")
        mask = np.array([[0, 1, 255], [i + 1, 0, 0]], np.uint8)
        Image.fromarray(mask).save(tmp_path / "annotations" / "train" / f"image{i}.png")
    return tmp_path


def build(root: Path) -> object:
    prefix = {"img_path": "images/train", "seg_map_path": "annotations/train"}
    return DATASETS.build({"type": "FolderDataset", "data_root": str(root), "data_prefix": prefix, "pipeline": LOAD})


def test_pairs_are_read_whatever_the_image_format(root: Path) -> None:
    (root / "images" / "train" / "notes.txt").write_text("not an image")
    dataset = build(root)
    assert [sample["gt_seg_map"][1, 0] for sample in dataset] == [1, 2]
    assert dataset.metainfo["classes"] == ["class 0", "class 1", "class 2"]
    assert len({tuple(colour) for colour in dataset.metainfo["palette"]}) == 3


def test_classes_are_named_by_classes_txt(root: Path) -> None:
    (root / "classes.txt").write_text("sky\nsign symbol\n\n")
    assert read_classes(root) == ["sky", "sign symbol"]
    assert build(root).metainfo["classes"] == ["sky", "sign symbol"]


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["annotations/train/image1.png"], "1 of 2 images .* have no mask; the first is .*image1.png"),
        (["images/train/image0.jpg", "images/train/image1.tif"], r"train holds no image\. Expected images/"),
    ],
)
def test_incomplete_folder_says_what_is_missing(root: Path, remove: list[str], message: str) -> None:
    (root / "classes.txt").write_text("a\nb\nc\n")
    for name in remove:
        (root / name).unlink()
    with pytest.raises(FolderError, match=message):
        build(root)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"nowhere.images.train is not a folder"):
        read_classes(tmp_path / "nowhere")


def test_rare_classes_weigh_more() -> None:
    labels = np.full((20, 100), 255, np.uint8)
    labels[:8], labels[8] = 0, 1
    labels[9, :1] = 2
    assert class_weights([labels, labels], 4) == [1.0, 2.0, 5.0, 5.0]
