"""labelme's JSON files, in the layout that its labelme/_label_file.py writes (https://github.com/wkentaro/labelme)."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.export import IGNORED, UNLABELLED, SourceError
from internvl_seg.data.exports.formats import labelme
from internvl_seg.data.exports.source import Source
from tests.data.exports.formats.answers import ANSWERS, pixels
from tests.data.exports.making import by_name, drawn, ids, picture, written

SQUARE = [[5, 5], [10, 5], [10, 10], [5, 10]]


def shape(label: str = "cat", points: Any = SQUARE, kind: Any = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def record(shapes: list[Any], image: str = "a.jpg", **more: Any) -> dict[str, Any]:
    return {
        "version": "6.3.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": 20,
        "imageWidth": 30,
        **more,
    }


@pytest.mark.parametrize("case", range(len(ANSWERS["labelme"])))
def test_shapes_are_as_labelme_draws_them(tmp_path: Path, case: int) -> None:
    answer = ANSWERS["labelme"][case]
    written(tmp_path / "a.json", record([answer["shape"]], imageHeight=20, imageWidth=30))
    picture(tmp_path / "a.jpg")
    export = labelme.read(Source(tmp_path))
    expected = pixels(answer["rows"])
    found = ids(export, "a") == 0 if export.classes else np.zeros_like(expected)
    np.testing.assert_array_equal(found, expected)


def test_recognised_and_read_in_its_layout(tmp_path: Path) -> None:
    written(tmp_path / "one" / "a.json", record([shape("dog"), shape("cat", [[8, 8], [20, 8], [20, 15]])]))
    picture(tmp_path / "one" / "a.jpg")
    written(tmp_path / "two" / "b.json", record([], "..\\pictures\\b.jpg"))
    picture(tmp_path / "pictures" / "b.jpg")
    picture(tmp_path / "one" / "c.jpg")
    source = Source(tmp_path)
    assert labelme.recognise(source) == "one/a.json has 'shapes' and 'imagePath'"
    export = labelme.read(source)
    assert [label.name for label in export.classes] == ["cat", "dog"]
    assert [one.name for one in export.pictures] == ["one/a", "one/c", "pictures/b"]
    assert by_name(export, "one/c").labels is None  # Nobody has labelled it.
    assert (ids(export, "pictures/b") == UNLABELLED).all()
    assert export.unlabelled == "background"
    found, overlapped = drawn(export, "one/a")
    assert found[8, 9] == 0  # The later one is on top.
    assert found[6, 6] == 1
    assert overlapped > 0


def test_ignored_and_background_shapes(tmp_path: Path) -> None:
    written(tmp_path / "a.json", record([shape(), shape("__ignore__", [[7, 7], [8, 7], [8, 8]])]))
    picture(tmp_path / "a.jpg")
    export = labelme.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["cat"]
    found = ids(export, "a")
    assert found[7, 8] == IGNORED
    assert found[5, 5] == 0


def test_the_picture_inside_is_taken_where_there_is_none_beside(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (30, 20)).save(data, "PNG")
    written(
        tmp_path / "deep" / "a.json", record([shape()], "x.png", imageData=base64.b64encode(data.getvalue()).decode())
    )
    export = labelme.read(Source(tmp_path))
    assert by_name(export, "deep/a").picture == data.getvalue()
    picture(tmp_path / "deep" / "x.png")
    assert by_name(labelme.read(Source(tmp_path)), "deep/x").picture == tmp_path / "deep" / "x.png"


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    shapes = [
        shape(points=[[1, 1], [2, 2]]),
        shape(points=[[100, 100], [110, 100], [110, 110]]),
        shape(kind="points"),
        shape(points=[[1, 1], [9, 9]], kind="line"),
    ]
    written(tmp_path / "a.json", record(shapes))
    written(tmp_path / "b.json", record([shape()], "gone.jpg"))
    written(tmp_path / "other.json", {"a": 1})
    picture(tmp_path / "a.jpg")
    assert list(labelme.read(Source(tmp_path)).notes) == [
        "Shapes of type 'polygon' with fewer than 3 points are left out: 1; the first is shape 1 of a.json.",
        "Shapes outside of the picture are left out: 1; the first is shape 2 of a.json.",
        "Shapes of type 'points' are left out: 1; the first is shape 3 of a.json.",
        "Lines are drawn 10 pixels wide, points with a radius of 5, as labelme does: 1; the first is shape 4 of "
        "a.json.",
        "Pictures that are not there are left out: 1; the first is b.json, gone.jpg.",
        "JSON files that are not labelme's are left out: 1; the first is other.json.",
    ]


def png(height: int, width: int, mode: str = "L") -> str:
    data = io.BytesIO()
    Image.new(mode, (width, height), 1 if mode == "L" else (1, 2, 3)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (record([shape(points=[[float("nan"), 1], [2, 2], [3, 1]])]), "shape 1 of a.json hold nan"),
        (record([shape(points=[[1e300, 1], [2, 2], [3, 1]])]), "hold 1e\\+300"),
        (record([shape(points=SQUARE, kind="circle")]), "has 4 points: 2 were expected"),
        (record([shape(label=7)]), "'label' of shape 1 of a.json is 7: a text was expected"),
        (record([3]), "Shape 1 of a.json is 3: a mapping"),
        (record([shape()], imageHeight=0), "height|size"),
        (record([shape()], imageHeight=21), "are for a picture of 30 x 21 pixels, but the picture has 30 x 20"),
        (record([shape()], "gone.jpg"), "None of the 1 pictures .* --images FOLDER"),
        (record([shape(kind="mask", mask=png(4, 5))]), "of type 'mask' and has 4 points: 2 were expected"),
        (record([shape(points=[[2, 2], [5, 5]], kind="mask", mask=png(4, 5))]), "mask of shape 1 .* has 5 x 4 pixels"),
        (record([shape(points=[[2, 2], [5, 5]], kind="mask", mask=png(4, 4, "RGB"))]), "colours and no transparency"),
        (record([shape(points=[[2, 2], [5, 5]], kind="mask", mask="iVBORw0KGgo=")]), "no PNG that can be read"),
        (record([shape(points=[[2, 2], [5, 5]], kind="mask", mask="*")]), "no base64"),
        (record([shape(points=[[2, 2], [900, 5]], kind="mask", mask=png(4, 4))]), "goes from 2, 2 to 900, 5"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    written(tmp_path / "a.json", content)
    picture(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match=words):
        ids(labelme.read(Source(tmp_path)), "a")


def test_two_files_for_one_picture_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.json", record([shape()]))
    written(tmp_path / "copy.json", record([]))
    picture(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match=r"a.json and copy.json are both for the picture a.jpg"):
        labelme.read(Source(tmp_path))


def test_names_of_classes_have_single_blanks_and_fit_into_masks(tmp_path: Path) -> None:
    written(tmp_path / "a.json", record([shape(" big \n cat"), shape("big cat")]))
    picture(tmp_path / "a.jpg")
    assert [label.name for label in labelme.read(Source(tmp_path)).classes] == ["big cat"]
    written(tmp_path / "a.json", record([shape(f"class {i}") for i in range(255)]))
    with pytest.raises(SourceError, match="has 255 classes; masks of 8 bits hold 254"):
        labelme.read(Source(tmp_path))
