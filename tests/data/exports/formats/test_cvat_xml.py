"""CVAT for images 1.1: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.

The layout is that of ``dump_as_cvat_annotation`` in https://github.com/cvat-ai/cvat (cvat/apps/dataset_manager/formats/
cvat.py); shapes are compared with what its mask export does (transformations.py there).
"""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from internvl_seg.data.exports.coco_polygon import coco_polygon
from internvl_seg.data.exports.drawing import Shape, draw
from internvl_seg.data.exports.export import UNLABELLED, ClassLabel, SourceError, Window
from internvl_seg.data.exports.formats import cvat_xml
from internvl_seg.data.exports.source import Source

from ..making import by_name, drawn, ids, picture, written

META = """<meta><task><id>4</id><name>t</name><mode>annotation</mode><subset>{subset}</subset><labels>
  <label><name>road</name><color>#fa3253</color><type>any</type><attributes></attributes></label>
  <label><name>car</name><color>#0000ff</color><type>polygon</type><attributes></attributes></label>
  <label><name>body</name><color>#12b63f</color><type>skeleton</type><attributes></attributes></label>
  <label><name>head</name><color>#12b63f</color><type>points</type><parent>body</parent></label>
</labels></task><dumped>2024-01-01</dumped></meta>"""
POLYGON = '<polygon label="{}" source="manual" occluded="0" points="{}" z_order="{}"></polygon>'
LOW, HIGH = "2.00,2.00;20.00,2.00;20.00,12.00;2.00,12.00", "10.00,6.00;28.00,6.00;28.00,18.00;10.00,18.00"


def xml(*shapes: str, name: str = "a.png", size: tuple[int, int] = (20, 30), subset: str = "", more: str = "") -> str:
    image = f'<image id="0" name="{name}" width="{size[1]}" height="{size[0]}">{"".join(shapes)}</image>'
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"{META.format(subset=subset)}{image}{more}</annotations>\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "images" / "a.png")
    return tmp_path


def polygon(*points: tuple[float, float]) -> NDArray[np.bool_]:
    return draw((20, 30), [Shape(0, lambda size: coco_polygon([np.array(points, float)], size))]).ids == 0


def test_z_order_orders_shapes_and_the_file_does_not(folder: Path) -> None:
    written(folder / "annotations.xml", xml(POLYGON.format("car", HIGH, 3), POLYGON.format("road", LOW, -1)))
    assert cvat_xml.recognise(Source(folder)) == "annotations.xml begins with <annotations>"
    export = cvat_xml.read(Source(folder))
    assert export.classes == (ClassLabel("road", (250, 50, 83)), ClassLabel("car", (0, 0, 255)))
    found = drawn(export, "images/a")
    low, high = polygon((2, 2), (20, 2), (20, 12), (2, 12)), polygon((10, 6), (28, 6), (28, 18), (10, 18))
    np.testing.assert_array_equal(found.ids, np.where(high, 1, np.where(low, 0, UNLABELLED)))
    assert found.overlapped == (low & high).sum() > 0


def test_masks_boxes_and_ellipses_are_areas(folder: Path) -> None:
    mask = '<mask label="car" rle="1, 2, 2, 1" left="4" top="3" width="3" height="2" z_order="0"></mask>'
    box = '<box label="road" xtl="10.00" ytl="2.00" xbr="20.00" ybr="6.00" z_order="0"></box>'
    turned = '<box label="road" xtl="10.00" ytl="10.00" xbr="20.00" ybr="14.00" rotation="30.00" z_order="0"></box>'
    ellipse = '<ellipse label="car" cx="24.50" cy="12.40" rx="4.50" ry="2.50" rotation="20.00" z_order="0"></ellipse>'
    written(folder / "annotations.xml", xml(mask, box, turned, ellipse))
    found = ids(cvat_xml.read(Source(folder)), "images/a")
    assert np.argwhere(found[:6, :9] == 1).tolist() == [[3, 5], [3, 6], [4, 6]]
    sine, cosine = math.sin(math.radians(30)), math.cos(math.radians(30))
    corners = [
        (15 + cosine * x - sine * y, 12 + sine * x + cosine * y) for x, y in ((-5, -2), (5, -2), (5, 2), (-5, 2))
    ]
    theirs = np.zeros((20, 30), np.uint8)
    cv2.ellipse(theirs, (round(24.5), round(12.4)), (round(4.5), round(2.5)), 20, 0, 360, (1,), thickness=-1)
    road = polygon((10, 2), (20, 2), (20, 6), (10, 6)) | polygon(*corners)
    np.testing.assert_array_equal(found == 0, road & (theirs == 0))
    np.testing.assert_array_equal(found[6:] == 1, theirs[6:] > 0)


def test_what_is_no_area_is_counted(folder: Path) -> None:
    shapes = (
        '<points label="head" points="1.00,1.00" z_order="0"></points>',
        '<polyline label="road" points="1.00,1.00;5.00,5.00" z_order="0"></polyline>',
        '<polyline label="road" points="1.00,1.00;5.00,5.00" z_order="0"></polyline>',
        '<skeleton label="body" z_order="0"><points label="head" points="1.00,2.00"></points></skeleton>',
        '<tag label="road" source="manual"></tag>',
        POLYGON.format("road", "1.00,1.00;2.00,2.00", 0),
        POLYGON.format("road", "20.00,1.00;50.00,2.00;50.00,9.00", 0),
        POLYGON.format("roof", LOW, 0),
    )
    picture(folder / "images" / "spare.png")
    more = '<image id="1" name="gone.png" width="30" height="20"></image>'
    written(folder / "annotations.xml", xml(*shapes, more=more))
    export = cvat_xml.read(Source(folder))
    assert [label.name for label in export.classes] == ["road", "car", "roof"]
    assert export.notes == (
        "The label 'roof' of shape 8 (polygon) of a.png of annotations.xml is not among the task's labels; it is a "
        "class after them.",
        "Shapes that are no areas (points), left out: 1; the first is shape 1 (points) of a.png of annotations.xml.",
        "Shapes that are no areas (polyline), left out: 2; the first is shape 2 (polyline) of a.png of "
        "annotations.xml.",
        "Shapes that are no areas (skeleton), left out: 1; the first is shape 4 (skeleton) of a.png of "
        "annotations.xml.",
        "Shapes that are no areas (tag), left out: 1; the first is shape 5 (tag) of a.png of annotations.xml.",
        "Polygons of fewer than three points, left out: 1; the first is shape 6 (polygon) of a.png of annotations.xml.",
        "Shapes that reach out of the picture, cut off at its border: 1; the first is shape 7 (polygon) of a.png of "
        "annotations.xml.",
        "Pictures that are not there, left out: 1; the first is gone.png of annotations.xml.",
        "Pictures that no file of labels names, left out: 1; the first is images/spare.png.",
    )


def test_tasks_with_subsets_and_names_with_folders(tmp_path: Path) -> None:
    for task, subset in (("task_0", "Train"), ("task_1", "Validation")):
        picture(tmp_path / task / "images" / "day 1" / "a.png")
        content = xml(POLYGON.format("car", LOW, 0), name="day 1/a.png", subset=subset)
        written(tmp_path / task / "annotations.xml", content)
    export = cvat_xml.read(Source(tmp_path))
    assert [(each.name, each.split) for each in export.pictures] == [
        ("task_0/images/day 1/a", "train"),
        ("task_1/images/day 1/a", "val"),
    ]


def test_subsets_of_a_project(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "Train" / "a.png")
    picture(tmp_path / "images" / "Test" / "a.png")
    images = "".join(
        f'<image id="{i}" name="a.png" subset="{subset}" task_id="{i}" width="30" height="20"></image>'
        for i, subset in enumerate(("Train", "Test"))
    )
    content = xml().replace("task>", "project>").split("<image")[0] + images + "</annotations>"
    written(tmp_path / "annotations.xml", content)
    export = cvat_xml.read(Source(tmp_path))
    assert {each.name: each.split for each in export.pictures} == {"images/Train/a": "train", "images/Test/a": "test"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (xml(more='<track id="0" label="car"></track>'), "'CVAT for video'"),
        (xml(POLYGON.format("car", "1,2;3", 0)), "'x,y;x,y;...' was expected"),
        (xml(POLYGON.format("car", "1,2;nan,3;4,5", 0)), "hold nan"),
        (xml(POLYGON.format("car", LOW, "top")), "z_order of shape 1 .* is 'top'"),
        (xml('<box label="car" xtl="1" ytl="2" xbr="3"></box>'), "ybr=''"),
        (xml('<mask label="car" rle="a" left="4" top="3" width="3" height="2"></mask>'), "whole numbers were expected"),
        (xml(POLYGON.format("", LOW, 0)), "a class without a name"),
        (xml()[:-20], "is no XML"),
        ("<annotations>" * 100_000, "is no XML"),
        ('<!DOCTYPE a [<!ENTITY b "bbb"><!ENTITY c "&b;&b;">]>\n' + xml().partition("\n")[2], "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd">\n' + xml().partition("\n")[2], "document type"),
    ],
)
def test_what_is_not_as_cvat_says(folder: Path, content: str, words: str) -> None:
    written(folder / "annotations.xml", content)
    with pytest.raises(SourceError, match=words) as caught:
        cvat_xml.read(Source(folder))
    assert "annotations.xml" in str(caught.value)


def test_a_mask_that_would_fill_the_memory(folder: Path) -> None:
    big = f'<mask label="car" rle="{10**18}" left="0" top="0" width="{10**6}" height="{10**6}" z_order="0"></mask>'
    written(folder / "annotations.xml", xml(big))
    labels = by_name(cvat_xml.read(Source(folder)), "images/a").labels
    assert labels is not None
    with pytest.raises(SourceError, match=r"shape 1 \(mask\) of a\.png of annotations\.xml is at row 0"):
        labels((20, 30), Window(0, 0, 20, 30))


def test_pascal_voc_is_not_cvat(tmp_path: Path) -> None:
    written(tmp_path / "a.xml", "<annotation><filename>a.jpg</filename></annotation>")
    assert cvat_xml.recognise(Source(tmp_path)) is None
