"""Folders of one's own, as labelling tools leave them: what is said names the fault, and the way out."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.folder_errors import FolderError
from internvl_seg.data.preflight import DatasetError, check_before_training, check_dataset
from internvl_seg.training.config import load_config
from tools import check_dataset as tool

MASKS = Path("data/annotations")


@pytest.fixture(autouse=True)
def folder(data: Path) -> Path:
    """The sound set as a folder of one's own, with two classes."""
    (data / "classes.txt").write_text("ground\nobject\n")
    text = Path("config.py").read_text().replace("type='BaseSegDataset'", "type='FolderDataset'")
    text = text.replace("img_suffix='.png', seg_map_suffix='.png',", "").replace("num_classes=3", "num_classes=2")
    Path("config.py").write_text(text.replace("metainfo=dict(classes=('sky', 'sea', 'land')), ", ""))
    for path in MASKS.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) % 2).save(path)
    return data


def refusal() -> str:
    """What stops a training."""
    with pytest.raises(DatasetError) as caught:
        check_before_training(load_config("config.py"))
    return str(caught.value)


@pytest.mark.parametrize("names", ["classes.txt", ""])
def test_masks_of_0_and_255_are_named_with_and_without_names(names: str, folder: Path) -> None:
    """Without names there is one class, and a word on num_classes alone would lead astray."""
    check_before_training(load_config("config.py"))
    for path in MASKS.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) * 255).save(path)
    if not names:
        (folder / "classes.txt").unlink()
    said = refusal()
    assert "object_ignored: masks of 0 and 255 alone, where 255 is the label that is ignored" in said
    assert "python tools/prepare_dataset.py SOURCE OUT" in said


def test_polygons_in_the_place_of_masks_name_the_converter() -> None:
    for split in ("train", "val"):
        shutil.rmtree(MASKS / split)
        images = [{"id": 1, "file_name": "a.png", "height": 30, "width": 50}]
        (MASKS / f"{split}.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    said = refusal()
    assert "data/annotations/train.json may hold the labels: python tools/prepare_dataset.py makes masks" in said


def found(**options: Any) -> dict[str, str]:
    report = check_dataset(load_config("config.py", {key.replace("__", "."): value for key, value in options.items()}))
    return {finding.kind: str(finding) for finding in report.findings}


def test_images_that_a_list_names_and_that_are_not_there() -> None:
    """Of a data set of MMSegmentation's, which takes every line for a name; the mask being there hides nothing."""
    text = Path("config.py").read_text().replace("type='FolderDataset'", "type='BaseSegDataset'")
    text = text.replace(
        "pipeline=pipeline)", "pipeline=pipeline, img_suffix='.png', metainfo=dict(classes=('a', 'b')))"
    )
    Path("config.py").write_text(text)
    Path("data/list.txt").write_text("a\nb\n")
    assert "listed_image" not in found(train_dataloader__dataset__ann_file="list.txt")
    Path("data/images/train/b.png").unlink()
    said = found(train_dataloader__dataset__ann_file="list.txt")["listed_image"]
    assert "data/list.txt names what is not there: 'data/images/train/b.png'" in said
    Path("data/list.txt").write_text("a\n\nc\n", encoding="utf-8-sig")
    report = found(train_dataloader__dataset__ann_file="list.txt")
    assert ", 2 in train (" in report["listed_image"]
    assert r"\ufeffa.png" in report["listed_image"]
    assert "missing_mask" not in report


def test_pictures_of_formats_that_are_not_read_are_told(folder: Path) -> None:
    assert found() == {}
    (folder / "images/train/x.HEIC").write_bytes(b"ftypheic")
    assert "1 in train (x.HEIC)" in found()["skipped_image"]
    for path in (folder / "images/train").glob("*.png"):
        path.unlink()
    assert "x.HEIC is of a format that is not read; convert it" in found()["no_image"]


def test_masks_of_formats_that_are_not_read_are_told() -> None:
    for path in (MASKS / "train").iterdir():
        np.save(path.with_suffix(".npy"), np.asarray(Image.open(path)))
        path.unlink()
    assert "a.npy is of a format that is not read as a mask: save class ids as PNG" in refusal()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_and_masks_that_are_swapped(suffix: str) -> None:
    for split in ("train", "val"):
        for path in list(Path("data/images", split).iterdir()):
            image = Image.open(path)
            image.load()
            path.unlink()
            image.save(path.with_suffix(suffix))
    Path("data/images").rename("data/x")
    MASKS.rename("data/images")
    Path("data/x").rename(MASKS)
    kind = "rgb_mask" if suffix == ".png" else "unsupported_mask"
    assert "if they are swapped, swap data_prefix.img_path and data_prefix.seg_map_path" in found()[kind]


def test_masks_that_are_the_images_themselves() -> None:
    said = found(train_dataloader__dataset__data_prefix__seg_map_path="images/train")["rgb_mask"]
    assert "data_prefix.seg_map_path names the folder of the images" in said


def test_a_word_on_zeros_in_the_loading_step() -> None:
    """As in MMSegmentation's configs for ADE20K: the data set and the step say the same."""
    for path in MASKS.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) + np.uint8(1)).save(path)
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("'LoadAnnotations'", "'LoadAnnotations', reduce_zero_label=True"))
    assert "_dataloader.dataset.reduce_zero_label=True if 0 is no class" in found()["unsupported_mask"]
    options = {f"{split}_dataloader__dataset__reduce_zero_label": True for split in ("train", "val", "test")}
    assert found(**options) == {}


def test_data_sets_that_cannot_be_built_are_told_in_words() -> None:
    with pytest.raises(FolderError, match=r"train_dataloader\.dataset cannot be built: TypeError: .*ann_file_"):
        check_dataset(load_config("config.py", {"train_dataloader.dataset.ann_file_": "x"}))
    text = Path("config.py").read_text().replace("type='FolderDataset'", "type='BaseSegDataset'")
    Path("config.py").write_text(text)
    with pytest.raises(FolderError, match=r"train_dataloader\.dataset has no classes: set .*metainfo=dict\(classes="):
        check_dataset(load_config("config.py"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("['ann_file'] = ['a.txt', 'b.txt']", "ann_file = .*: expected text"),
        ("= [train_dataloader['dataset']]", "dataset is a list: expected a dict"),
        ("['data_prefix'] = dict(img_path=['images/train'], seg_map_path='annotations/train')", "img_path"),
    ],
)
def test_what_a_config_cannot_say_is_no_traceback(change: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if change.startswith("="):
        change = f" {change}"
    text = Path("config.py").read_text()
    Path("config.py").write_text(text.replace("del loader", f"train_dataloader['dataset']{change}\ndel loader"))
    monkeypatch.setattr(sys, "argv", ["check_dataset.py", "config.py"])
    with pytest.raises(SystemExit, match=words):
        tool.main()
