"""Hasty's exports, in the layouts of https://docs.cloudfactory.com/export-formats (JSON v1.1 and PNG images)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.formats import hasty
from internvl_seg.data.exports.hasty_runs import reader_of_runs
from internvl_seg.data.exports.source import Source
from tests.data.exports.formats.answers import ANSWERS, pixels
from tests.data.exports.making import by_name, ids, picture, written


def runs_of(mask: Any) -> list[int]:
    """Lengths of runs along the rows, of which the first is inside."""
    flat = np.concatenate([[1], np.asarray(mask, int).ravel(), [2]])
    return np.diff(np.flatnonzero(np.diff(flat)), prepend=0).tolist()


def label(name: str = "cat", bbox: Any = (2, 3, 8, 7), **more: Any) -> dict[str, Any]:
    return {
        "class_name": name,
        "bbox": list(bbox),
        "polygon": None,
        "mask": None,
        "z_index": 1,
        "attributes": {},
        **more,
    }


def image(labels: Any, name: str = "a.jpg", **more: Any) -> dict[str, Any]:
    return {
        "image_name": name,
        "dataset_name": "set",
        "width": 30,
        "height": 20,
        "image_status": "DONE",
        "labels": labels,
        "tags": [],
        **more,
    }


def project(images: Any) -> dict[str, Any]:
    return {
        "project_name": "p",
        "create_date": "2019-10-22 19:04:16Z",
        "export_format_version": "1.1",
        "export_date": "2019-11-19 16:21:18Z",
        "attributes": [],
        "label_classes": [
            {"class_name": "cat", "color": "#1f78b44d", "class_type": "object"},
            {"class_name": "sky", "color": "#e31a1c4d", "class_type": "background"},
        ],
        "images": images,
    }


def read(folder: Path, content: Any) -> Any:
    written(folder / "export.json", content)
    picture(folder / "set" / "a.jpg")
    return hasty.read(Source(folder))


@pytest.mark.parametrize("case", range(len(ANSWERS["hasty"])))
@pytest.mark.parametrize("pairs", [False, True])
def test_masks_lie_in_their_boxes(tmp_path: Path, case: int, pairs: bool) -> None:
    answer = ANSWERS["hasty"][case]
    expected = pixels(answer["rows"])
    left, top, right, bottom = answer["bbox"]
    mask = answer["pairs"] if pairs else runs_of(expected[top:bottom, left:right])
    export = read(tmp_path, project([image([label(bbox=answer["bbox"], mask=mask)])]))
    np.testing.assert_array_equal(ids(export, "set/a") == 0, expected)


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4))
def test_any_mask(rows: list[list[bool]]) -> None:
    mask = np.array(rows)
    entry = {"labels": [{"mask": runs_of(mask), "bbox": [1, 2, 6, 2 + len(rows)]}]}
    found = reader_of_runs([entry], "a.json")(runs_of(mask), mask.shape, "a label")
    np.testing.assert_array_equal(found, mask)


def test_order_classes_and_states(tmp_path: Path) -> None:
    square = [[1, 1], [12, 1], [12, 12], [1, 12]]
    labels = [label("sky", mask=[24], z_index=5), label(polygon=square, z_index=2), label()]
    images = [image(labels), image([], "b.jpg", image_status="NEW"), image([], "c.jpg")]
    picture(tmp_path / "set" / "b.jpg")
    picture(tmp_path / "set" / "c.jpg")
    export = read(tmp_path, project(images))
    assert hasty.recognise(Source(tmp_path)) == "export.json has 'label_classes' and 'images' with 'labels'"
    assert [(one.name, one.colour) for one in export.classes] == [("cat", (31, 120, 180)), ("sky", (227, 26, 28))]
    expected = np.full((20, 30), UNLABELLED)
    expected[1:12, 1:12] = 0
    expected[3:7, 2:8] = 1
    np.testing.assert_array_equal(ids(export, "set/a"), expected)
    assert by_name(export, "set/b").labels is None
    assert by_name(export, "set/c").labels is not None
    assert list(export.notes) == [
        "Boxes without a mask or a polygon are no areas and are left out: 1; the first is label 3 of a.jpg in "
        "export.json.",
        "Pictures in the state 'NEW' without a label count as not labelled: 1; the first is b.jpg in export.json.",
    ]


def test_what_has_no_area_and_who_was_skipped_is_told(tmp_path: Path) -> None:
    flat, beside = label(polygon=[[1, 4], [9, 4], [5, 4]]), label(mask=[24], bbox=(40, 3, 46, 7))
    picture(tmp_path / "set" / "b.jpg")
    export = read(
        tmp_path, project([image([flat, beside]), image([label(mask=[24])], "b.jpg", image_status="SKIPPED")])
    )
    assert (ids(export, "set/a") == UNLABELLED).all()
    assert by_name(export, "set/b").labels is None
    assert list(export.notes) == [
        "Polygons of no extent are left out: 1; the first is label 1 of a.jpg in export.json.",
        "Labels outside of the picture are left out: 1; the first is label 2 of a.jpg in export.json.",
        "Pictures that were skipped count as not labelled: 1; the first is b.jpg in export.json.",
    ]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([label("cow", mask=[24])], "Label 1 of a.jpg in export.json is of class 'cow'"),
        ([label(mask=[25])], "are 25 pixels, but 4 x 6 are 24"),
        ([label(mask=[1, -1, 24])], "hold -1"),
        ([label(mask=["x"])], "whole numbers were expected"),
        ([label(mask=[24], bbox=(1, 2))], "'bbox' of a label of a.jpg in export.json has 2 numbers"),
        ([label(mask=[40 * 4], bbox=(0, 0, 40, 4))], "has 40 x 4 pixels, but the picture 30 x 20"),
        ([label(polygon=[[1, float("nan")], [2, 2], [3, 1]])], "hold nan"),
        ([label(mask=[24], z_index="x")], "'z_index' of label 1"),
        ("x", "'labels' of a.jpg in export.json is 'x'"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, labels: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        ids(read(tmp_path, project([image(labels)])), "set/a")


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="labelled with 21 rows and 30 columns"):
        ids(read(tmp_path, project([image([label(mask=[24])], height=21)])), "set/a")


def test_masks_with_gaps_between_their_numbers(tmp_path: Path) -> None:
    classes = [
        {"png_index": 2, "class_name": "cat", "color": "#010203ff", "class_type": "object"},
        {"png_index": 7, "class_name": "sky", "color": "#040506", "class_type": "background"},
    ]
    written(tmp_path / "export" / "label_classes.json", classes)
    mask = np.zeros((20, 30), np.uint8)
    mask[:4], mask[9:] = 7, 2
    (tmp_path / "export" / "set").mkdir()
    Image.fromarray(mask).save(tmp_path / "export" / "set" / "a.png")
    Image.fromarray(mask).save(tmp_path / "export" / "set" / "gone.png")
    picture(tmp_path / "pictures" / "set" / "a.png")
    source = Source(tmp_path / "export", images=tmp_path / "pictures")
    assert hasty.recognise(source) == "label_classes.json has classes with 'png_index'"
    export = hasty.read(source)
    assert [(one.name, one.colour) for one in export.classes] == [("cat", (1, 2, 3)), ("sky", (4, 5, 6))]
    np.testing.assert_array_equal(ids(export, "set/a"), np.where(mask == 7, 1, np.where(mask == 2, 0, UNLABELLED)))
    assert export.notes == ("Masks whose pictures are not there are left out: 1; the first is set/gone.png.",)
    with pytest.raises(SourceError, match="--images FOLDER"):
        hasty.read(Source(tmp_path / "export"))
    mask[0, 0] = 3
    Image.fromarray(mask).save(tmp_path / "export" / "set" / "a.png")
    with pytest.raises(SourceError, match=r"a.png holds 3, which label_classes.json does not name"):
        ids(hasty.read(source), "set/a")


def test_pictures_beside_the_masks(tmp_path: Path) -> None:
    written(tmp_path / "label_classes.json", [{"png_index": 1, "class_name": "cat", "color": "#010203"}])
    (tmp_path / "set").mkdir()
    Image.fromarray(np.ones((20, 30), np.uint8)).save(tmp_path / "set" / "a.png")
    picture(tmp_path / "pictures" / "a.jpg")
    export = hasty.read(Source(tmp_path))
    assert [one.picture for one in export.pictures] == [tmp_path / "pictures" / "a.jpg"]
    assert (ids(export, "pictures/a") == 0).all()


def test_classes_without_masks(tmp_path: Path) -> None:
    written(tmp_path / "label_classes.json", [{"png_index": 1, "class_name": "cat", "color": "#010203"}])
    with pytest.raises(SourceError, match=r"label_classes\.json has no masks beside it"):
        hasty.read(Source(tmp_path))
