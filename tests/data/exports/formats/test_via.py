"""VGG Image Annotator's files, in the layouts that via.js of its versions 1 and 2 writes (gitlab.com/vgg/via)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.formats import via
from internvl_seg.data.exports.source import Source
from tests.data.exports.formats.answers import ANSWERS, pixels
from tests.data.exports.making import by_name, ids, picture, written

RECT = {"name": "rect", "x": 2, "y": 3, "width": 10, "height": 5}


def region(shape: dict[str, Any] = RECT, **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


def project(files: list[dict[str, Any]], attributes: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "_via_settings": {"ui": {}, "core": {"default_filepath": ""}, "project": {"name": "p"}},
        "_via_img_metadata": {f"{file['filename']}{file['size']}": file for file in files},
        "_via_attributes": {"region": attributes or {}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": [],
    }


def file(regions: Any, name: str = "a.jpg", size: int = -1) -> dict[str, Any]:
    return {"filename": name, "size": size, "regions": regions, "file_attributes": {}}


def read(folder: Path, content: Any, classes: str | None = None) -> Any:
    written(folder / "via.json", content)
    picture(folder / "a.jpg")
    return via.read(Source(folder, classes=None if classes is None else written(folder / "names.txt", classes)))


@pytest.mark.parametrize("case", range(len(ANSWERS["via"])))
def test_shapes_are_as_its_coco_export_has_them(tmp_path: Path, case: int) -> None:
    answer = ANSWERS["via"][case]
    export = read(tmp_path, project([file([region(answer["shape"], kind="cat")])]))
    found = ids(export, "a") == 0 if by_name(export, "a").labels else np.zeros((20, 30), np.bool_)
    np.testing.assert_array_equal(found, pixels(answer["rows"]))


def test_an_ellipse_is_turned(tmp_path: Path) -> None:
    shape = {"name": "ellipse", "cx": 15, "cy": 10, "rx": 8, "ry": 2, "theta": np.pi / 2}
    rows, columns = np.nonzero(ids(read(tmp_path, project([file([region(shape)])])), "a") == 0)
    assert np.ptp(rows) > 3 * np.ptp(columns)


def test_options_are_stored_by_id_and_have_names(tmp_path: Path) -> None:
    kind = {
        "type": "dropdown",
        "description": "",
        "options": {"1": "Cat", "2": "Dog", "un": "Unused"},
        "default_options": {},
    }
    regions = [region(kind="2", note="x"), region({**RECT, "x": 20}, kind="1")]
    export = read(tmp_path, project([file(regions), file([], "b.jpg")], {"kind": kind, "note": {"type": "text"}}))
    assert [label.name for label in export.classes] == ["Cat", "Dog", "Unused"]
    assert ids(export, "a")[4, 4] == 1
    assert ids(export, "a")[4, 22] == 0
    assert list(export.notes) == [
        "The class is the attribute 'kind'; others are left out: 1; the first is 'note'.",
        "Pictures without a region count as not labelled: 1; the first is b.jpg in via.json.",
        "Pictures that are not there are left out: 1; the first is b.jpg in via.json.",
    ]


def test_version_1_has_regions_as_a_mapping(tmp_path: Path) -> None:
    polygon = {"name": "polygon", "all_points_x": [1, 9, 9, 1], "all_points_y": [1, 1, 9, 1]}
    content = {
        "a.jpg123": {
            "fileref": "",
            "size": 123,
            "filename": "a.jpg",
            "base64_img_data": "",
            "file_attributes": {},
            "regions": {"0": region(polygon), "1": region({"name": "point", "cx": 1, "cy": 2})},
        }
    }
    source = Source(tmp_path)
    export = read(tmp_path, content)
    assert via.recognise(source) == "via.json has files with regions and their sizes in bytes"
    assert [label.name for label in export.classes] == ["object"]
    assert (ids(export, "a") == 0).sum() > 10
    assert list(export.notes) == [
        "Points and lines are no areas and are left out: 1; the first is region 2 of a.jpg in via.json.",
        "Regions have no attribute; they are all of the class 'object': 1; the first is region 1 of a.jpg in via.json.",
    ]
    assert [label.name for label in read(tmp_path, content, "balloon\n").classes] == ["balloon"]


def test_the_picture_inside_is_taken(tmp_path: Path) -> None:
    content = project([{**file([region()], "b.png"), "base64_img_data": "data:image/png;base64,AAAA"}])
    assert by_name(read(tmp_path, content), "b").picture == b"\0\0\0"


def test_sizes_in_bytes_tell_pictures_of_one_name(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "b.png", 20, 30)
    other = picture(tmp_path / "y" / "b.png", 40, 31)
    export = read(tmp_path, project([file([region()], "b.png", other.stat().st_size)]))
    assert [one.picture for one in export.pictures] == [other]


def test_the_attribute_that_is_the_class_is_asked_for(tmp_path: Path) -> None:
    content = project([file([region(kind="cat", colour="red"), region(kind="dog", colour="red")])])
    with pytest.raises(SourceError, match=r"2 attributes, .*'kind' \('cat', 'dog'\); 'colour' \('red'\)"):
        read(tmp_path, content)
    export = read(tmp_path, content, "dog #010203\ncat\n")
    assert [label.name for label in export.classes] == ["cat", "dog"]
    # One that only some regions have is not it.
    content = project([file([region(kind="cat", note="x"), region(kind="dog")])])
    assert [label.name for label in read(tmp_path, content).classes] == ["cat", "dog"]


def test_boxes_to_be_ticked(tmp_path: Path) -> None:
    assert [
        one.name for one in read(tmp_path, project([file([region(kind={"cat": True, "dog": False})])])).classes
    ] == ["cat"]
    with pytest.raises(SourceError, match=r"Region 1 of a.jpg in via.json has 2 options of 'kind', 'cat' and 'dog'"):
        read(tmp_path, project([file([region(kind={"cat": True, "dog": True}), region(kind={"cat": True})])]))


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        (7, "'regions' of a.jpg in via.json is 7"),
        ([region({"name": "rect", "x": 1})], "'y' of region 1 of a.jpg in via.json is None"),
        ([region({"name": "circle", "cx": 1, "cy": 2, "r": float("nan")})], "'r' of region 1 .* is nan"),
        ([region({"name": "spline"})], "Region 1 of a.jpg in via.json has the shape 'spline'"),
        ([region({"name": "polygon", "all_points_x": [1], "all_points_y": []})], "has 1 x but 0 y"),
        ([region({"name": "circle", "cx": 1, "cy": 2, "r": 1e9})], "hold 1e\\+09"),
        ([{}], "'shape_attributes' of region 1"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, regions: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read(tmp_path, project([file(regions)]))


def test_regions_that_are_no_areas_are_told(tmp_path: Path) -> None:
    flat = {"name": "polygon", "all_points_x": [1, 9, 5], "all_points_y": [4, 4, 4]}
    beside = {"name": "rect", "x": -9, "y": 3, "width": 8, "height": 5}
    point = {"name": "point", "cx": 3, "cy": 4}
    export = read(tmp_path, project([file([region(one, kind="cat") for one in (flat, beside, point, RECT)])]))
    assert (ids(export, "a") == 0).sum() == 50
    for number, told in enumerate(("Regions of no extent", "Regions outside of the picture", "Points and lines"), 1):
        (note,) = (note for note in export.notes if note.startswith(told))
        assert f": 1; the first is region {number} of a.jpg in via.json" in note


def test_no_picture_is_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"None of the 1 pictures .*'gone.jpg'.*--images FOLDER"):
        read(tmp_path, project([file([region()], "gone.jpg")]))
