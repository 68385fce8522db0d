"""Datumaro's JSON, as plugins/datumaro_format/converter.py of cvat-ai/datumaro writes it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.formats import cvat_xml, datumaro
from internvl_seg.data.exports.source import Source

from ..making import ids, picture, written
from ..tried.case import coco_polygons, coco_runs
from . import test_cvat_xml


def entry(kind: str, label: int | None = 1, z_order: int = 0, **values: Any) -> dict[str, Any]:
    return {"id": 1, "type": kind, "attributes": {}, "group": 0, "label_id": label, "z_order": z_order, **values}


def item(*entries: dict[str, Any], name: str = "a", size: tuple[int, int] = (20, 30)) -> dict[str, Any]:
    return {"id": name, "annotations": list(entries), "image": {"path": f"{name}.png", "size": list(size)}}


def subset(*items: dict[str, Any], colours: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    names = ("background", "car", "road sign")
    labels = [{"name": name, "parent": "", "attributes": []} for name in names]
    mask = {"mask": {"colormap": colours}} if colours else {}
    return {"info": {}, "categories": {"label": {"labels": labels, "attributes": []}, **mask}, "items": list(items)}


def read(folder: Path, *entries: dict[str, Any], size: tuple[int, int] = (20, 30)) -> np.ndarray:
    picture(folder / "images/default/a.png", *size)
    written(folder / "annotations/default.json", subset(item(*entries, size=size)))
    return ids(datumaro.read(Source(folder)), "images/default/a", *size)


@pytest.mark.parametrize("shape", list(coco_polygons(rings=1)), ids=lambda shape: shape[0])
def test_polygons_are_coco_s(tmp_path: Path, shape: tuple) -> None:
    _, size, parts, expected = shape
    np.testing.assert_array_equal(read(tmp_path, entry("polygon", points=parts[0]), size=size) == 1, expected)


@pytest.mark.parametrize("shape", list(coco_runs()), ids=lambda shape: shape[0])
def test_masks_are_coco_s(tmp_path: Path, shape: tuple) -> None:
    _, size, case, expected = shape
    rle = {"counts": case["counts"], "size": list(size)}
    np.testing.assert_array_equal(read(tmp_path, entry("mask", rle=rle), size=size) == 1, expected)


@pytest.mark.parametrize("degrees", [0, 30])
def test_boxes_and_ellipses_are_those_of_cvats_xml(tmp_path: Path, degrees: int) -> None:
    """CVAT writes by how many degrees a shape is turned among its attributes."""
    turned = {"attributes": {"rotation": float(degrees)}}
    found = read(
        tmp_path / "json",
        entry("ellipse", 2, 1, points=[14.0, 4.0, 26.0, 12.0], **turned),
        entry("bbox", 1, 0, bbox=[2.0, 3.0, 10.0, 5.0], **turned),
    )
    box = f'<box label="car" xtl="2" ytl="3" xbr="12" ybr="8" rotation="{degrees}" z_order="0"></box>'
    ellipse = f'<ellipse label="road" cx="20" cy="8" rx="6" ry="4" rotation="{degrees}" z_order="1"></ellipse>'
    head = test_cvat_xml.xml().partition("<image")[0]
    shapes = f'<image id="0" name="a.png" width="30" height="20">{box}{ellipse}</image>'
    written(tmp_path / "xml/annotations.xml", f"{head}{shapes}</annotations>\n")
    picture(tmp_path / "xml/a.png")
    export = cvat_xml.read(Source(tmp_path / "xml"))
    names = {i: label.name for i, label in enumerate(export.classes)}
    other = ids(export, "a")
    for value, name in ((1, "car"), (2, "road")):
        place = next(i for i, each in names.items() if each == name)
        np.testing.assert_array_equal(found == value, other == place)


def test_subsets_and_what_is_no_area(tmp_path: Path) -> None:
    for name in ("train/a", "train/day 1/b", "val/a"):
        picture(tmp_path / f"images/{name}.png")
    square = [2, 2, 8, 2, 8, 8, 2, 8]
    high, low = entry("polygon", 1, 5, points=square), entry("polygon", 2, 2, points=square)
    train = subset(
        item(high, low, entry("points", points=[1, 2]), entry("polygon", None, points=square)),
        item(name="day 1/b"),
        item(name="gone"),
        colours=[{"label_id": 1, "r": 250, "g": 50, "b": 83}],
    )
    written(tmp_path / "annotations/train.json", train)
    newer = item(low)
    newer["media"] = newer.pop("image")  # Of openvinotoolkit/datumaro.
    written(tmp_path / "annotations/val.json", subset(newer))
    module, why = find_format(Source(tmp_path))
    assert (module, why) == (datumaro, "annotations/train.json has 'categories' with 'label' and 'items'")
    export = datumaro.read(Source(tmp_path))
    assert [(label.name, label.colour) for label in export.classes] == [
        ("background", None),
        ("car", (250, 50, 83)),
        ("road sign", None),
    ]
    assert {each.name: each.split for each in export.pictures} == {
        "images/train/a": "train",
        "images/train/day 1/b": "train",
        "images/val/a": "val",
    }
    assert np.unique(ids(export, "images/train/a")).tolist() == [1, UNLABELLED]
    assert np.unique(ids(export, "images/val/a")).tolist() == [2, UNLABELLED]
    assert [note.partition(":")[0] for note in export.notes] == [
        "Annotations that are no areas (points), left out",
        "Areas without a label, left out",
        "Pictures without an area, taken as background alone",
        "Pictures that are not there, left out",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            entry("polygon", 7, points=[1, 1, 5, 1, 5, 5]),
            "label_id of annotation 1 of a.png of annotations",
        ),
        (entry("bbox", bbox=[1, 2]), "box of annotation 1 .* has 2 numbers"),
        (entry("ellipse", points=[1, 2]), "ellipse of annotation 1 .* has 1 points"),
        (entry("rotated_bbox", points=[1, 2]), "is a rotated_bbox: draw it as a polygon"),
        (entry("mask", rle=7), "'rle' of annotation 1"),
        (entry("mask", rle={"counts": "0", "size": [9, 9]}), r"size \[9, 9\]"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read(tmp_path, given)
