"""VGG Image Annotator 3's projects and the tables of all versions, as its via-3.x.y and via-2.x.y write them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.formats import via
from internvl_seg.data.exports.source import Source

from ..making import by_name, ids, picture, written
from .answers import ANSWERS, pixels
from .test_via import RECT

KINDS = {"1": "cat", "2": "dog"}


def numbers(shape: dict[str, Any]) -> list[float]:
    """A shape of version 2 as version 3 stores it."""
    name = shape["name"]
    if name == "polygon":
        return [7, *np.stack([shape["all_points_x"], shape["all_points_y"]], 1).ravel().tolist()]
    kind, keys = {
        "rect": (2, "x y width height"),
        "circle": (3, "cx cy r"),
        "ellipse": (4, "cx cy rx ry"),
    }[name]
    return [kind, *(shape[key] for key in keys.split())]


def project(pictures: dict[str, list[tuple[list[float], Any]]], kind: int = 4) -> dict[str, Any]:
    """Pictures by name, with the shapes and the values of the attribute 1 of each."""
    files, views, metadata = {}, {}, {}
    for i, (name, regions) in enumerate(pictures.items(), start=1):
        files[str(i)] = {"fid": i, "fname": name, "type": 2, "loc": 1, "src": ""}
        views[str(i)] = {"fid_list": [i]}
        for j, (xy, value) in enumerate(regions):
            metadata[f"{i}_a{j}"] = {"vid": str(i), "flg": 0, "z": [], "xy": xy, "av": {"1": value}}
    attribute = {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": kind, "desc": "", "options": KINDS}
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "data_format_version": "3.1.1", "vid_list": list(views)},
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
        "attribute": {"1": {**attribute, "default_option_id": ""}},
        "file": files,
        "metadata": metadata,
        "view": views,
    }


def read(folder: Path, content: Any) -> Any:
    written(folder / "via_project.json", content)
    picture(folder / "a.jpg")
    return via.read(Source(folder))


UPRIGHT = [i for i, answer in enumerate(ANSWERS["via"]) if not answer["shape"].get("theta")]


@pytest.mark.parametrize("case", UPRIGHT)
def test_shapes_are_those_of_version_2(tmp_path: Path, case: int) -> None:
    answer = ANSWERS["via"][case]
    export = read(tmp_path, project({"a.jpg": [(numbers(answer["shape"]), "1")]}))
    found = ids(export, "a") == 0 if by_name(export, "a").labels else np.zeros((20, 30), np.bool_)
    np.testing.assert_array_equal(found, pixels(answer["rows"]))


def test_a_project_is_found_and_its_options_have_names(tmp_path: Path) -> None:
    content = project({"a.jpg": [([2, 2, 3, 10, 5], "2"), ([2, 20, 3, 5, 5], "1")], "b.jpg": []})
    export = read(tmp_path, content)
    module, why = find_format(Source(tmp_path))
    assert (module, why) == (
        via,
        "via_project.json has 'attribute', 'file', 'view' and 'metadata', as projects of version 3",
    )
    assert [label.name for label in export.classes] == ["cat", "dog"]
    assert (ids(export, "a")[4, 4], ids(export, "a")[4, 22]) == (1, 0)
    assert "Pictures without a region count as not labelled: 1; the first is b.jpg in via_project.json." in export.notes


def test_boxes_and_circles_by_points_on_their_rims(tmp_path: Path) -> None:
    box = [8, 5, 3, 12, 8, 7, 15, 2, 9]
    plain = ids(read(tmp_path / "box", project({"a.jpg": [([2, 2, 3, 10, 12], "1")]})), "a")
    np.testing.assert_array_equal(ids(read(tmp_path / "points", project({"a.jpg": [(box, "1")]})), "a"), plain)
    circle = [9, 4, 10, 10, 4, 16, 10]
    plain = ids(read(tmp_path / "circle", project({"a.jpg": [([3, 10, 10, 6], "1")]})), "a")
    np.testing.assert_array_equal(ids(read(tmp_path / "rim", project({"a.jpg": [(circle, "1")]})), "a"), plain)


def test_what_is_no_region_of_a_picture_is_told(tmp_path: Path) -> None:
    content = project({"a.jpg": [([2, 2, 3, 10, 5], "1"), ([6, 1, 1, 5, 5, 9, 1], "1"), ([], "caption")]}, kind=3)
    content["metadata"]["1_z"] = {"vid": "1", "flg": 0, "z": [1.5], "xy": [2, 0, 0, 3, 3], "av": {"1": "2"}}
    content["file"]["8"] = {"fid": 8, "fname": "a.mp4", "type": 4, "loc": 1, "src": ""}
    content["view"] |= {"8": {"fid_list": [8]}, "9": {"fid_list": [1, 8]}}
    export = read(tmp_path, content)
    assert (ids(export, "a") == 0).sum() == 50
    assert list(export.notes) == [
        "Videos and sounds are left out: 1; the first is file 8 of via_project.json.",
        "Views of several files, whose regions belong to none, are left out: 1; the first is view 9 of "
        "via_project.json.",
        "Attributes of whole files are left out: 1; the first is metadata 1_a2 of via_project.json.",
        "Regions in frames of videos are left out: 1; the first is metadata 1_z of via_project.json.",
        "Points and lines are no areas and are left out: 1; the first is region 2 of a.jpg in via_project.json.",
    ]


def test_boxes_to_be_ticked_and_a_picture_inside(tmp_path: Path) -> None:
    content = project({"b.png": [([2, 2, 3, 10, 5], "2,")]}, kind=2)
    content["file"]["1"] |= {"loc": 4, "src": "data:image/png;base64,AAAA"}
    export = read(tmp_path, content)
    assert by_name(export, "b").picture == b"\0\0\0"
    assert (ids(export, "b") == 1).sum() == 50


@pytest.mark.parametrize(
    ("xy", "words"),
    [
        ([2, 1, 2], r"Metadata 1_a0 of via_project\.json has the shape \[2\.0, 1\.0, 2\.0\]"),
        ([77, 1, 2], "Metadata 1_a0 .* has the shape"),
        ([9, 0, 0, 1, 1, 2, 2], "lie on a line"),
        ([2, "x", 2, 3, 4], "'xy' of metadata 1_a0"),
        (7, "'xy' of metadata 1_a0"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, xy: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read(tmp_path, project({"a.jpg": [(xy, "1")]}))


COLUMNS = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"


def row(name: str, size: int, shape: dict[str, Any] | None = None, **values: Any) -> str:
    """As ``pack_via_metadata`` of via.js writes a line: names of files are bare."""
    quoted = ['"' + json.dumps(one).replace('"', '""') + '"' for one in ({}, shape or {}, values)]
    return f"{name},{size},{quoted[0]},{1 if shape else 0},0,{quoted[1]},{quoted[2]}"


@pytest.mark.parametrize("header", [COLUMNS, "#" + COLUMNS])
def test_a_table_of_version_2_and_of_version_1(tmp_path: Path, header: str) -> None:
    for name in ("a.jpg", "b, c.jpg", "d.jpg"):
        picture(tmp_path / name)
    rows = [row("a.jpg", 9, RECT, kind="cat"), row("d.jpg", 9)]
    written(tmp_path / "via_export_csv.csv", "\n".join([header, *rows]))
    written(tmp_path / "via_more.csv", "\n".join([header, row("b, c.jpg", 9, RECT, kind="dog")]))
    module, why = find_format(Source(tmp_path))
    assert (module, why) == (via, "via_export_csv.csv has the columns of its table")
    export = via.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["cat", "dog"]
    assert [(ids(export, name) == i).sum() for i, name in enumerate(("a", "b, c"))] == [50, 50]
    assert by_name(export, "d").labels is None
    assert "via_export_csv.csv has no names of options: classes are called as the regions in it store them." in (
        export.notes
    )


@pytest.mark.parametrize("full", [True, False])
def test_a_table_of_version_3(tmp_path: Path, full: bool) -> None:
    """``export_to_via3_csv`` of _via_import_export.js; earlier versions wrote no more than the attributes' names."""
    picture(tmp_path / "a.jpg")
    attribute = {"1": project({})["attribute"]["1"]} if full else {"1": "kind"}
    head = [
        "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        '# SHAPE_ID = {"POINT":1,"RECTANGLE":2}',
        f"# {'ATTRIBUTE' if full else 'ATTRIBUTES'} = {json.dumps(attribute)}",
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata",
    ]
    values = ['["a.jpg"]', "[]", "[2,2,3,10,5]", '{"1":"2"}']
    quoted = ['"' + one.replace('"', '""') + '"' for one in values]
    written(tmp_path / "x.csv", "\n".join([*head, f'"1_x",{quoted[0]},0,{",".join(quoted[1:])}']))
    export = via.read(Source(tmp_path))
    assert [label.name for label in export.classes] == (["cat", "dog"] if full else ["2"])
    assert (ids(export, "a") == len(export.classes) - 1).sum() == 50


def test_a_table_beside_the_project_is_left_out(tmp_path: Path) -> None:
    written(tmp_path / "x.csv", "\n".join([COLUMNS, row("a.jpg", 9, RECT, kind="cat")]))
    export = read(tmp_path, project({"a.jpg": [([2, 2, 3, 10, 5], "2")]}))
    assert "Tables beside JSON files, which hold the same, are left out: 1; the first is x.csv." in export.notes


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.jpg,9", r"line 2 of x\.csv has 2 fields, and 7 were expected"),
        ('a.jpg,9,"{}",1,0,"{""name"":","{}"', "which is no JSON"),
        ('a.jpg,9,"{}",1,0,"[1]","{}"', r"'region_shape_attributes' of line 2 of x\.csv"),
        ('a.jpg,9,"{}",1,0,"{""name"":""spline""}","{}"', "the shape 'spline'"),
    ],
)
def test_rows_that_are_not_as_the_tool_writes_them(tmp_path: Path, line: str, words: str) -> None:
    picture(tmp_path / "a.jpg")
    written(tmp_path / "x.csv", f"{COLUMNS}\n{line}")
    assert csv.field_size_limit() == 131072
    with pytest.raises(SourceError, match=words):
        via.read(Source(tmp_path))
