"""Roboflow's COCO: the layout of its export 'COCO Segmentation', with a README beside the splits' folders."""

from pathlib import Path

import numpy as np
import pytest

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.formats import roboflow_coco
from internvl_seg.data.exports.source import Source

from ..making import ids, picture, written

NAMES = ("street.v2_png.rf.0a1b2c.jpg", "street.v2_png.rf.ffee00.jpg", "b_jpg.rf.998877.jpg")


def export_of(folder: Path, uses: int = 1) -> Source:
    for split, names in (("train", NAMES[:2]), ("valid", NAMES[2:])):
        for name in names:
            picture(folder / split / name)
        content = {
            "info": {"description": "Exported from roboflow.com"},
            "categories": [
                {"id": 0, "name": "streets", "supercategory": "none"},
                {"id": 1, "name": "road", "supercategory": "streets"},
                {"id": 2, "name": "car", "supercategory": "streets"},
            ],
            "images": [
                {"id": i, "file_name": name, "height": 20, "width": 30, "extra": {"name": "street.v2.png"}}
                for i, name in enumerate(names)
            ],
            "annotations": [
                {"id": i, "image_id": i, "category_id": uses, "segmentation": [[2, 2, 10, 2, 10, 10]], "iscrowd": 0}
                for i, _ in enumerate(names)
            ],
        }
        written(folder / split / "_annotations.coco.json", content)
    written(folder / "README.roboflow.txt", "streets - v2")
    return Source(folder)


def test_the_placeholder_goes_valid_is_val_and_versions_of_a_picture_stay_together(tmp_path: Path) -> None:
    source = export_of(tmp_path)
    assert roboflow_coco.recognise(source) == "train/_annotations.coco.json lies beside the pictures"
    export = roboflow_coco.read(source)
    assert [label.name for label in export.classes] == ["road", "car"]
    assert [(each.name, each.split, each.group) for each in export.pictures] == [
        ("train/street.v2_png.rf.0a1b2c", "train", "street.v2_png"),
        ("train/street.v2_png.rf.ffee00", "train", "street.v2_png"),
        ("valid/b_jpg.rf.998877", "val", "b_jpg"),
    ]
    assert np.unique(ids(export, "valid/b_jpg.rf.998877")).tolist() == [0, 254]
    assert export.notes == ()


def test_a_category_0_that_is_used_stays(tmp_path: Path) -> None:
    export = roboflow_coco.read(export_of(tmp_path, uses=0))
    assert [label.name for label in export.classes] == ["streets", "road", "car"]


def test_a_file_that_is_none(tmp_path: Path) -> None:
    written(tmp_path / "train" / "_annotations.coco.json", {"images": []})
    with pytest.raises(SourceError, match=r"_annotations\.coco\.json has no 'images', 'annotations' and 'categories'"):
        roboflow_coco.read(Source(tmp_path))
