"""Label Studio's JSON, in the layout of https://labelstud.io/guide/export and its SDK's ``convert_to_json_min``."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.find_pictures import uploaded_names
from internvl_seg.data.exports.formats import label_studio
from internvl_seg.data.exports.source import Source
from tests.data.exports.formats.answers import ANSWERS, pixels
from tests.data.exports.making import by_name, ids, picture, written

HALF = [[0, 0], [50, 0], [50, 100], [0, 100]]


def result(value: dict[str, Any], kind: str = "polygonlabels", number: str = "r1", **more: Any) -> dict[str, Any]:
    return {
        "original_width": 30,
        "original_height": 20,
        "image_rotation": 0,
        "value": value,
        "id": number,
        "from_name": "label",
        "to_name": "image",
        "type": kind,
        "origin": "manual",
        **more,
    }


def polygon(label: str = "cat", points: Any = HALF, **more: Any) -> dict[str, Any]:
    return result({"points": points, "closed": True, "polygonlabels": [label]}, **more)


def annotation(results: list[Any], created: str = "2024-05-01T10:00:00.000000Z", **more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "completed_by": 1,
        "result": results,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": created,
        **more,
    }


def task(
    annotations: list[Any], image: Any = "/data/upload/1/0a1b2c3d-a.jpg", number: int = 7, **more: Any
) -> dict[str, Any]:
    return {
        "id": number,
        "annotations": annotations,
        "file_upload": "0a1b2c3d-a.jpg",
        "drafts": [],
        "predictions": [],
        "data": {"image": image},
        "meta": {},
        **more,
    }


def read(folder: Path, tasks: list[Any]) -> Any:
    written(folder / "export.json", tasks)
    if not (folder / "pictures").is_dir():
        picture(folder / "pictures" / "a.jpg")
    return label_studio.read(Source(folder / "export.json", images=folder / "pictures"))


@pytest.mark.parametrize("case", range(len(ANSWERS["label_studio_brush"])))
def test_brush_masks_are_as_the_sdk_reads_them(tmp_path: Path, case: int) -> None:
    answer = ANSWERS["label_studio_brush"][case]
    value = {"format": "rle", "rle": answer["rle"], "brushlabels": ["cat"]}
    export = read(tmp_path, [task([annotation([result(value, "brushlabels")])])])
    np.testing.assert_array_equal(ids(export, "a") == 0, pixels(answer["rows"]))


@pytest.mark.parametrize("case", range(len(ANSWERS["label_studio_polygons"])))
def test_polygons_are_as_the_sdks_coco_export_has_them(tmp_path: Path, case: int) -> None:
    answer = ANSWERS["label_studio_polygons"][case]
    export = read(tmp_path, [task([annotation([polygon(points=answer["points"])])])])
    np.testing.assert_array_equal(ids(export, "a") == 0, pixels(answer["rows"]))


def test_boxes_and_ellipses_are_turned_in_pixels(tmp_path: Path) -> None:
    box = {"x": 50, "y": 25, "width": 20, "height": 50, "rotation": 90, "rectanglelabels": ["box"]}
    ellipse = {"x": 20, "y": 50, "radiusX": 10, "radiusY": 40, "rotation": 90, "ellipselabels": ["round"]}
    results = [result(box, "rectanglelabels"), result(ellipse, "ellipselabels", "r2")]
    found = ids(read(tmp_path, [task([annotation(results)])]), "a")
    # The box, 6 x 10 pixels with its corner at 15, 5, becomes 10 x 6 to the left of it.
    rows, columns = np.nonzero(found == 0)
    assert (rows.min(), rows.max()) == (5, 10)
    assert columns.max() == 14
    # Of the ellipse around 6, 10 the long half axis, 8 pixels, lies along the rows.
    rows, columns = np.nonzero(found == 1)
    assert rows.max() - rows.min() <= 6
    assert columns.min() == 0


def test_the_annotation_that_counts(tmp_path: Path) -> None:
    old = annotation([polygon("old")], "2024-01-01T00:00:00Z")
    new = annotation([polygon("new")], "2024-06-01T00:00:00Z")
    skipped = annotation([polygon("skipped")], "2025-01-01T00:00:00Z", was_cancelled=True)
    true = annotation([polygon("true")], "2023-01-01T00:00:00Z", ground_truth=True)
    for annotations, name in (
        (([old, new, skipped]), "new"),
        (([skipped, new, old]), "new"),
        (([old, true, new]), "true"),
    ):
        export = read(tmp_path, [task(annotations)])
        assert [label.name for label in export.classes] == [name]
    assert export.notes[0].startswith(
        "Annotations of tasks with more than one are left out, but those marked as ground"
    )
    assert export.notes[0].endswith(": 2; the first is task 7 of export.json.")
    export = read(tmp_path, [task([old, skipped])])
    assert "Annotations that were skipped are left out: 1; the first is task 7 of export.json." in export.notes
    export = read(tmp_path, [task([skipped])])
    assert by_name(export, "a").labels is None
    export = read(tmp_path, [task([annotation([])])])
    assert (ids(export, "a") == UNLABELLED).all()


def test_a_shape_and_its_label_may_be_two_results(tmp_path: Path) -> None:
    plain = result({"points": HALF, "closed": True}, "polygon")
    label = result({"points": HALF, "closed": True, "labels": ["cat"]}, "labels")
    export = read(tmp_path, [task([annotation([plain, label])])])
    assert [label.name for label in export.classes] == ["cat"]
    assert (ids(export, "a")[:, :15] == 0).all()
    export = read(tmp_path, [task([annotation([plain])])])
    assert export.notes == ("Areas without a label are left out: 1; the first is result r1 of task 7 of export.json.",)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/0a1b2c3d-a.jpg", "a.jpg"),
        ("/data/upload/1/0a1b2c3d-a.jpg", "0a1b2c3d-a.jpg"),
        ("/data/upload/1/0a1b2c3d-my_photo_1.jpg", "my photo (1).jpg"),
        ("/data/local-files/?d=set%201/my%20photo.jpg", "set 1/my photo.jpg"),
        ("s3://bucket/x/a.jpg", "a.jpg"),
        ("https://host/x/a%20b.jpg?token=1", "a b.jpg"),
        ("/tasks/7/resolve/?fileuri=czM6Ly9idWNrZXQvYS5qcGc=", "a.jpg"),
        ("images\\a.jpg", "a.jpg"),
    ],
)
def test_addresses_of_pictures(tmp_path: Path, address: str, file: str) -> None:
    picture(tmp_path / "pictures" / file)
    export = read(tmp_path, [task([annotation([polygon()])], address)])
    assert [one.picture for one in export.pictures] == [tmp_path / "pictures" / file]


def test_a_name_that_only_looks_uploaded_keeps_its_beginning() -> None:
    assert uploaded_names("deadbeef-.jpg") == ["deadbeef-.jpg", ".jpg"]
    assert uploaded_names("a-b.jpg") == ["a-b.jpg"]


def test_json_min(tmp_path: Path) -> None:
    value = {"points": HALF, "closed": True, "polygonlabels": ["cat"], "original_width": 30, "original_height": 20}
    common = {"image": "/data/upload/1/0a1b2c3d-a.jpg", "id": 7, "annotator": 1, "updated_at": "", "lead_time": 1.0}
    old = {
        **common,
        "label": [{**value, "polygonlabels": ["old"]}],
        "annotation_id": 1,
        "created_at": "2023-01-01T00:00:00Z",
    }
    new = {**common, "label": [value], "annotation_id": 2, "created_at": "2024-01-01T00:00:00Z", "choice": "x"}
    written(tmp_path / "export.json", [old, new])
    picture(tmp_path / "a.jpg")
    source = Source(tmp_path)
    assert (
        label_studio.recognise(source)
        == "export.json has records with 'annotation_id', 'annotator' and 'lead_time' (JSON-MIN)"
    )
    export = label_studio.read(source)
    assert [label.name for label in export.classes] == ["cat"]
    assert (ids(export, "a")[:, :15] == 0).all()


def test_one_file_an_annotation_and_several_pictures(tmp_path: Path) -> None:
    one = annotation([polygon("left", to_name="left"), polygon("right", number="r2", to_name="right")])
    data = {"left": "a.jpg", "right": "b.jpg"}
    written(tmp_path / "7.json", {**one, "task": {"id": 7, "data": data}})
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    export = label_studio.read(Source(tmp_path))
    assert set(np.unique(ids(export, "a"))) == {0, UNLABELLED}
    assert set(np.unique(ids(export, "b"))) == {1, UNLABELLED}
    pages = annotation([polygon("first", item_index=0), polygon("second", number="r2", item_index=1)])
    written(tmp_path / "7.json", [task([pages], ["a.jpg", "b.jpg"])])
    export = label_studio.read(Source(tmp_path))
    assert set(np.unique(ids(export, "b"))) == {1, UNLABELLED}


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    results = [
        result({"x": 1, "y": 1, "width": 1, "keypointlabels": ["nose"]}, "keypointlabels"),
        {"type": "relation", "from_id": "a", "to_id": "b"},
        polygon(points=[[1, 1], [2, 2]], number="r3"),
        polygon(points=[[101, 1], [120, 2], [110, 50]], number="r4"),
    ]
    tasks = [
        task([annotation(results)], predictions=[{"result": []}], drafts=[{"result": []}]),
        task([annotation([polygon()])], "gone.jpg", 8),
        task([annotation([polygon(image_rotation=90)])], "b.jpg", 9),
    ]
    picture(tmp_path / "pictures" / "a.jpg")
    picture(tmp_path / "pictures" / "b.jpg")
    assert list(read(tmp_path, tasks).notes) == [
        "Predictions of models are no annotations and are left out: 1; the first is task 7 of export.json.",
        "Drafts, which nobody submitted, are left out: 1; the first is task 7 of export.json.",
        "Results of type 'keypointlabels' are no areas and are left out: 1; the first is task 7 of export.json.",
        "Results of type 'relation' are no areas and are left out: 1; the first is task 7 of export.json.",
        "Areas of no extent are left out: 1; the first is result r3 of task 7 of export.json.",
        "Areas outside of the picture are left out: 1; the first is result r4 of task 7 of export.json.",
        "Pictures that are not there are left out: 1; the first is task 8 of export.json, gone.jpg.",
        "Pictures that were turned while they were labelled are left out: 1; the first is task 9 of export.json.",
    ]


def brush(rle: Any) -> dict[str, Any]:
    return result({"format": "rle", "rle": rle, "brushlabels": ["cat"]}, "brushlabels")


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([brush([1, 2, 3])], "brush mask of result r1 of task 7 of export.json has no values"),
        ([brush(ANSWERS["label_studio_brush"][0]["rle"][:-9])], "ends before all of its values"),
        (
            [brush([0, 0, 0, 4, *ANSWERS["label_studio_brush"][0]["rle"][4:]])],
            "has 4 values, but 30 x 20 pixels have 2400",
        ),
        ([brush([300])], "a list of bytes was expected"),
        ([brush("aa")], "a list of bytes was expected"),
        ([polygon(points=[[1, float("inf")], [2, 2], [3, 3]])], "hold inf"),
        ([polygon(points="x")], "pairs of x and y were expected"),
        ([polygon(original_width=None)], "width of the picture of result r1 .* is None"),
        ([polygon(original_width=40)], "are for a picture of 40 x 20 pixels"),
        ([result({"x": 1, "y": None, "width": 3, "height": 4, "rectanglelabels": ["a"]})], "'y' of result r1"),
        ([polygon(label=None)], "a name in 'polygonlabels' of task 7|A name in"),
        ([7], "A result of task 7 of export.json is 7"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, results: list[Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        ids(read(tmp_path, [task([annotation(results)])]), "a")


def test_the_same_picture_in_two_tasks(tmp_path: Path) -> None:
    done, again = task([annotation([polygon()])]), task([annotation([])], number=8)
    with pytest.raises(SourceError, match=r"task 8 of export.json and task 7 of export.json are both for"):
        read(tmp_path, [done, again])
    assert by_name(read(tmp_path, [task([], number=8), done]), "a").labels is not None


def test_only_its_own_files_are_recognised(tmp_path: Path) -> None:
    written(tmp_path / "a.json", {"images": [], "annotations": [], "categories": []})
    written(tmp_path / "b.json", "{broken")
    written(tmp_path / "c.json", json.dumps([1]))
    assert label_studio.recognise(Source(tmp_path)) is None
