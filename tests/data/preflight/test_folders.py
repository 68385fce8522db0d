"""Folders of one's own, as labelling tools leave them: what is said names the fault, and the way out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.preflight import DatasetError, check_before_training
from internvl_seg.training.config import load_config

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
