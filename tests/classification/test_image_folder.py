"""One's own images, a folder a class."""

import shutil
import tarfile
from pathlib import Path

import pytest

from internvl_seg.classification import ImageFolder
from internvl_seg.classification.layout import LayoutError
from internvl_seg.probing.store_key import hash_data

from ..error_table import DocumentedError
from .conftest import Copies


def listed(dataset: ImageFolder) -> list[tuple[str, int]]:
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return [("/".join(info["img_path"].replace("::", "/").split("/")[-2:]), info["gt_label"]) for info in infos]


@pytest.fixture
def root(copies: Copies) -> Path:
    for name in ("train/cat/0.png", "train/ant/0.png", "train/ant/deep/1.JPG", "train/bee/0.png", "val/bee/0.jpg"):
        copies.picture(f"photos/{name}")
    (copies.root / "photos/train/ant/notes.txt").write_text("no picture")
    (copies.root / "photos/train/.cache").mkdir()
    return copies.root / "photos"


def test_classes_are_the_training_sets_in_every_split(root: Path) -> None:
    train, val = (ImageFolder(data_root=str(root), split=split) for split in ("train", "val"))
    assert train.metainfo["classes"] == val.metainfo["classes"] == ("ant", "bee", "cat")
    assert listed(train) == [("ant/0.png", 0), ("deep/1.JPG", 0), ("bee/0.png", 1), ("cat/0.png", 2)]
    assert listed(val) == [("bee/0.jpg", 1)]  # MMPretrain's CustomDataset says 0.


def test_names_for_people(root: Path, documented_error: DocumentedError) -> None:
    (root / "classes.txt").write_text("bee honey bee\n\ncat house cat\n")
    val = ImageFolder(data_root=str(root), split="val")
    assert val.metainfo["classes"] == ("ant", "honey bee", "house cat")
    assert listed(val) == [("bee/0.jpg", 1)]
    (root / "classes.txt").write_text("bee honey bee\ndog\n")
    with documented_error("classes.txt names no class folder", LayoutError):
        ImageFolder(data_root=str(root), split="val")


def test_a_split_may_be_an_archive(root: Path) -> None:
    folder = ImageFolder(data_root=str(root), split="train")
    want, digest = listed(folder), hash_data([folder.get_data_info(i) for i in range(4)])
    with tarfile.open(root / "train.tar", "w") as packed:
        packed.add(root / "train", ".")
    shutil.rmtree(root / "train")
    archive = ImageFolder(data_root=str(root), split="train")
    assert listed(archive) == want
    # And features of it are the same.
    assert hash_data([archive.get_data_info(i) for i in range(4)]) == digest


def test_what_is_not_as_it_should_be(root: Path, copies: Copies, documented_error: DocumentedError) -> None:
    copies.picture("photos/val/dog/0.jpg")
    with documented_error("a class of images was not trained on", LayoutError):
        ImageFolder(data_root=str(root), split="val")
    with documented_error("a split of class folders is missing", LayoutError):
        ImageFolder(data_root=str(root), split="test")
    (root / "flat").mkdir()
    copies.picture("photos/flat/0.jpg")
    with documented_error("images are in no class folder", LayoutError):
        ImageFolder(data_root=str(root), split="val", train_split="flat")


def test_lists_choose_images_and_text_may_be_of_windows(root: Path) -> None:
    (root / "few.txt").write_bytes("train/cat/0\r\nant\\deep\\1.JPG\r\n".encode("utf-16"))
    (root / "classes.txt").write_bytes("bee Honigbiene\r\ncat Kätzchen\r\n".encode("cp1252"))
    dataset = ImageFolder(data_root=str(root), split="train", ann_file="few.txt")
    assert listed(dataset) == [("deep/1.JPG", 0), ("cat/0.png", 2)]
    assert dataset.metainfo["classes"] == ("ant", "Honigbiene", "Kätzchen")
    (root / "few.txt").write_text("cat/0.png\ncat/9.png\n")
    with pytest.raises(LayoutError, match=r"few\.txt:2: 'cat/9\.png' is no image"):
        ImageFolder(data_root=str(root), split="train", ann_file="few.txt")
    with pytest.raises(LayoutError, match=r"ann_file .*none\.txt is not there"):
        ImageFolder(data_root=str(root), split="train", ann_file="none.txt")
    (root / "classes.txt").write_bytes(b"bee \x81\n")
    with pytest.raises(LayoutError, match=r"classes\.txt is no UTF-8"):
        ImageFolder(data_root=str(root), split="train")


def test_junk_of_systems_is_no_image(root: Path) -> None:
    for name in ("train/ant/._0.png", "train/@eaDir/0.png", "train/__MACOSX/0.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    assert len(ImageFolder(data_root=str(root), split="train")) == 4
