"""Exports of polygons and run lengths made into folders: found by themselves, with the masks that readers draw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.export import Window
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.source import Source

from .formats.test_coco import SQUARE, entry, of
from .formats.test_cvat_xml import HIGH, LOW, POLYGON, xml
from .formats.test_roboflow_coco import export_of
from .formats.test_vectors import HOUSE, ROAD, collection, raster
from .formats.test_yolo import BIG, SMALL, YAML
from .making import picture, written
from .prepared import make, masks, names


def made(root: Path, name: str) -> None:
    """A small export of a format."""
    if name == "coco":
        picture(root / "images" / "a.png")
        written(
            root / "annotations" / "instances_default.json", of(entry([SQUARE]), entry([[8, 8, 22, 8, 22, 14]], 44))
        )
    elif name == "roboflow_coco":
        export_of(root)
    elif name == "cvat_xml":
        picture(root / "images" / "a.png")
        written(root / "annotations.xml", xml(POLYGON.format("car", HIGH, 3), POLYGON.format("road", LOW, 0)))
    elif name == "yolo":
        for split in ("train", "val"):
            picture(root / "images" / split / f"{split}.jpg")
            written(root / "labels" / split / f"{split}.txt", f"{SMALL}\n{BIG}\n")
        written(root / "data.yaml", YAML)
    elif name == "kaggle_rle":
        picture(root / "train" / "a.jpg")
        written(root / "train.csv", "ImageId,EncodedPixels\na.jpg,1 20 41 3\n")
    else:
        raster(root / "ortho.tif")
        written(root / "a.geojson", collection((HOUSE, {"class": "a"}), (ROAD, {"class": "b"}), crs="EPSG:32632"))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("coco", ["dog", "cat"]),
        ("roboflow_coco", ["road", "car"]),
        ("cvat_xml", ["road", "car"]),
        ("yolo", ["road", "car"]),
        ("kaggle_rle", ["object"]),
        ("vectors", ["a", "b"]),
    ],
)
def test_masks_are_those_that_the_reader_draws(tmp_path: Path, name: str, classes: list[str]) -> None:
    root, out = tmp_path / "export", tmp_path / "out"
    made(root, name)
    module, _ = find_format(Source(root))
    assert module.__name__.rpartition(".")[2] == name
    prepared = make(root, out)
    assert names(prepared) == ["background", *classes]
    written_masks = {path.rpartition("/")[2]: mask for path, mask in masks(out).items()}
    export: Any = module.read(Source(root))
    assert len(written_masks) == len(export.pictures)
    for one in export.pictures:
        mask = written_masks[one.name.rpartition("/")[2]]
        drawn = one.labels(mask.shape, Window(0, 0, *mask.shape)).ids
        np.testing.assert_array_equal(mask, prepared.ids.table[drawn])
        assert mask.max() > 0


def test_pictures_that_are_turned_are_labelled_as_they_are_seen(tmp_path: Path) -> None:
    """COCO's size is that of the turned picture, as tools show it."""
    path = tmp_path / "export" / "a.jpg"
    path.parent.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (20, 30)).save(path, exif=turned)
    written(
        tmp_path / "export" / "a.json",
        of(entry([SQUARE]), images=[{"id": 5, "file_name": "a.jpg", "width": 30, "height": 20}]),
    )
    make(tmp_path / "export", tmp_path / "out")
    (path,) = (tmp_path / "out" / "annotations").rglob("*.png")
    with Image.open(path) as opened:
        mask = np.asarray(opened)
    assert mask.shape == (20, 30)
    assert np.argwhere(mask == 1).min(0).tolist() == [2, 2]
