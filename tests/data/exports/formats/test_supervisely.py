"""Supervisely's projects, in the layout of https://docs.supervisely.com (Supervisely annotation format)."""

import base64
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.formats import supervisely
from internvl_seg.data.exports.source import Source
from tests.data.exports.formats.answers import ANSWERS, pixels
from tests.data.exports.making import by_name, ids, picture, written

META = {
    "classes": [
        {"title": "cat", "shape": "any", "color": "#FF0102", "id": 1, "hotkey": ""},
        {"title": "dog", "shape": "bitmap", "color": "#000203", "id": 2, "hotkey": ""},
        {"title": "nose", "shape": "point", "color": "#000204", "id": 3, "hotkey": ""},
    ],
    "tags": [],
    "projectType": "images",
}


def thing(title: str = "cat", kind: Any = "rectangle", exterior: Any = ((2, 3), (9, 8)), **more: Any) -> dict[str, Any]:
    points = {"exterior": [list(point) for point in exterior], "interior": []}
    return {"id": 5, "classTitle": title, "geometryType": kind, "shape": kind, "tags": [], "points": points, **more}


def annotation(things: Any, height: Any = 20, width: Any = 30) -> dict[str, Any]:
    return {"description": "", "tags": [], "size": {"height": height, "width": width}, "objects": things}


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def png(mode: str = "L", height: int = 3, width: int = 4, **how: Any) -> bytes:
    data = io.BytesIO()
    colour: Any = {"RGBA": (0, 0, 0, 255), "LA": (0, 255), "RGB": (1, 2, 3)}.get(mode, 1)
    Image.new(mode, (width, height), colour).save(data, "PNG", **how)
    return data.getvalue()


def bitmap(data: Any, origin: Any = (5, 6)) -> dict[str, Any]:
    return {**thing("dog", "bitmap"), "bitmap": {"data": data, "origin": list(origin)}}


def alpha(title: str, values: Any, origin: Any = (0, 0), key: str = "bitmap") -> dict[str, Any]:
    """As ``AlphaMask.data_2_base64`` of the SDK's geometry/alpha_mask.py writes it: greys, of which 0 is clear."""
    data = io.BytesIO()
    Image.fromarray(values).save(data, format="PNG", transparency=0, optimize=0)
    figure = {"classTitle": title, "geometryType": "alpha_mask", "shape": "alpha_mask"}
    return {**figure, key: {"data": packed(data.getvalue()), "origin": list(origin)}}


def read(folder: Path, content: Any) -> Any:
    written(folder / "meta.json", META)
    written(folder / "ds" / "ann" / "a.jpg.json", content)
    picture(folder / "ds" / "img" / "a.jpg")
    return supervisely.read(Source(folder))


@pytest.mark.parametrize("case", range(len(ANSWERS["supervisely"])))
def test_figures_are_as_its_sdk_draws_them(tmp_path: Path, case: int) -> None:
    answer = ANSWERS["supervisely"][case]
    export = read(tmp_path, annotation([{"classTitle": "cat", **answer["object"]}]))
    np.testing.assert_array_equal(ids(export, "ds/a") == 0, pixels(answer["rows"]))


@pytest.mark.parametrize("key", ["bitmap", "alpha_mask"])
def test_alpha_masks_count_where_they_are_not_transparent(tmp_path: Path, key: str) -> None:
    values = np.random.default_rng(0).integers(0, 3, (7, 9), dtype=np.uint8) * 100
    export = read(tmp_path, annotation([alpha("dog", values, (5, 6), key)]))
    expected = np.zeros((20, 30), np.bool_)
    expected[6:13, 5:14] = values > 0
    np.testing.assert_array_equal(ids(export, "ds/a") == 1, expected)
    assert list(export.notes) == [
        "Classes of figures that are no areas are left out: 1; the first is meta.json, 'nose'.",
        "Alpha masks count where they are not wholly transparent: 1; the first is object 1 of ds/ann/a.jpg.json.",
    ]


def test_data_sets_with_pictures_of_one_name(tmp_path: Path) -> None:
    written(tmp_path / "meta.json", META)
    for number, name in enumerate(("train", "val")):
        written(tmp_path / name / "ann" / "a.png.json", annotation([thing(("cat", "dog")[number])]))
        picture(tmp_path / name / "img" / "a.png")
    written(tmp_path / "val" / "ann" / "only.png.json", annotation([]))
    written(tmp_path / "train" / "ann" / "other.png.json", annotation([]))
    picture(tmp_path / "val" / "img" / "other.png")
    source = Source(tmp_path)
    assert supervisely.recognise(source) == "meta.json has 'classes' and train/ann/a.png.json is in a folder 'ann'"
    export = supervisely.read(source)
    assert [(one.name, one.split) for one in export.pictures] == [("train/a", "train"), ("val/a", "val")]
    assert [(label.name, label.colour) for label in export.classes] == [("cat", (255, 1, 2)), ("dog", (0, 2, 3))]
    assert ids(export, "train/a")[4, 4] == 0
    assert ids(export, "val/a")[4, 4] == 1
    assert list(export.notes) == [
        "Classes of figures that are no areas are left out: 1; the first is meta.json, 'nose'.",
        "Pictures without an object are background: 2; the first is train/ann/other.png.json.",
        "Pictures that are not there are left out: 2; the first is train/ann/other.png.json, other.png.",
    ]


@pytest.mark.parametrize(
    "data",
    [
        packed(png("RGBA")),
        packed(png("P", transparency=0)),
        packed(png("L")),
        packed(png("1")),
        packed(png("LA")),
        base64.b64encode(png("RGBA")).decode(),
    ],
)
def test_bitmaps_of_every_kind(tmp_path: Path, data: str) -> None:
    found = ids(read(tmp_path, annotation([thing(), bitmap(data)])), "ds/a")
    expected = np.full((20, 30), UNLABELLED)
    expected[3:9, 2:10] = 0
    expected[6:9, 5:9] = 1
    np.testing.assert_array_equal(found, expected)


def test_a_bitmap_may_reach_beyond_the_picture(tmp_path: Path) -> None:
    found = ids(read(tmp_path, annotation([bitmap(packed(png()), (28, 19))])), "ds/a")
    assert (found == 1).sum() == 2


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    things = [
        thing("nose", "point", [(1, 1)]),
        thing(kind="polygon", exterior=[(1, 1), (2, 2)]),
        thing(kind="polygon", exterior=[(100, 1), (102, 2), (103, 5)]),
    ]
    assert list(read(tmp_path, annotation(things)).notes) == [
        "Classes of figures that are no areas are left out: 1; the first is meta.json, 'nose'.",
        "Objects of type 'point' are no areas and are left out: 1; the first is object 1 of ds/ann/a.jpg.json.",
        "Polygons with fewer than 3 points are left out: 1; the first is object 2 of ds/ann/a.jpg.json.",
        "Objects outside of the picture are left out: 1; the first is object 3 of ds/ann/a.jpg.json.",
        "Pictures without an object are background: 1; the first is ds/ann/a.jpg.json.",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (annotation([thing("cow")]), "Object 1 of ds/ann/a.jpg.json is of class 'cow', which meta.json does not have"),
        (annotation([thing(exterior=[(float("nan"), 1), (2, 2)])]), "hold nan"),
        (annotation([thing(exterior=[(1, 1)])]), "has 1 points, but a box has 2"),
        (annotation([thing(classTitle=None)]), "'classTitle' of object 1"),
        (annotation(None), "'objects' of ds/ann/a.jpg.json is None"),
        (annotation([], width="x"), "width of the picture of ds/ann/a.jpg.json is 'x'"),
        (annotation([thing()], 21), "are for a picture of 30 x 21 pixels, but the picture has 30 x 20"),
        (annotation([bitmap("*")]), "bitmap of object 1 of ds/ann/a.jpg.json is no base64"),
        (annotation([bitmap(packed(b"no"))]), "bitmap of object 1 .* is no PNG that can be read"),
        (annotation([bitmap(packed(png("RGB")))]), "has colours and no transparency"),
        (annotation([bitmap(packed(png(height=21)))]), "has 4 x 21 pixels, but at most 30 x 20"),
        (annotation([bitmap(packed(bytes(1 << 26)))]), "unpacks to more than 1053376 bytes"),
        (annotation([bitmap(base64.b64encode(zlib.compress(png())[:-9]).decode())]), "is cut off"),
        (annotation([bitmap(packed(png()), (-1, 2))]), "origin of the bitmap of object 1"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        ids(read(tmp_path, content), "ds/a")


def test_the_pictures_may_be_elsewhere(tmp_path: Path) -> None:
    written(tmp_path / "p" / "meta.json", META)
    written(tmp_path / "p" / "ds" / "ann" / "a.jpg.json", annotation([thing()]))
    picture(tmp_path / "pictures" / "a.jpg")
    with pytest.raises(SourceError, match="--images FOLDER"):
        supervisely.read(Source(tmp_path / "p"))
    export = supervisely.read(Source(tmp_path / "p", images=tmp_path / "pictures"))
    assert by_name(export, "ds/a").picture == tmp_path / "pictures" / "a.jpg"
