"""Segments.ai's releases, as its SDK downloads them (https://github.com/segments-ai/segments-ai, dataset.py)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.formats import segments_ai
from internvl_seg.data.exports.source import Source
from tests.data.exports.making import by_name, ids, picture, written

IDS = np.zeros((20, 30), np.uint16)
IDS[2:5, 3:9] = 700
IDS[10:12] = 3


def label(annotations: Any, status: str = "LABELED") -> dict[str, Any]:
    attributes = {
        "annotations": annotations,
        "segmentation_bitmap": {"url": "https://segmentsai-prod.s3.eu-west-2.amazonaws.com/x/1.png"},
        "format_version": "0.1",
    }
    return {"label_status": status, "attributes": attributes}


def sample(labels: Any, name: str = "a.jpg") -> dict[str, Any]:
    image = {"image": {"url": f"https://segmentsai-prod.s3.eu-west-2.amazonaws.com/x/{name}"}}
    return {"uuid": "u", "name": name, "attributes": image, "metadata": {}, "labels": {"ground-truth": labels}}


def release(samples: Any, task: str = "segmentation-bitmap") -> dict[str, Any]:
    categories = [
        {"name": "cat", "id": 4, "color": [1, 2, 3], "has_instances": True},
        {"name": "road", "id": 9, "color": None},
    ]
    dataset = {
        "name": "flowers",
        "owner": "jane",
        "task_type": task,
        "task_attributes": {"format_version": "0.1", "categories": categories},
        "labelsets": [{"name": "ground-truth", "is_groundtruth": True}],
        "samples": samples,
    }
    return {"name": "v1.0", "description": "", "created_at": "", "dataset": dataset}


OBJECTS = [{"id": 700, "category_id": 9}, {"id": 3, "category_id": 4}]


def read(folder: Path, content: Any) -> Any:
    written(folder / "flowers-v1.0.json", content)
    picture(folder / "a.jpg")
    return segments_ai.read(Source(folder))


@pytest.mark.parametrize("coloured", [False, True])
def test_object_ids_of_16_bits(tmp_path: Path, coloured: bool) -> None:
    stored = IDS.astype(np.uint32)
    channels = np.stack([stored & 255, stored >> 8, stored >> 16, stored * 0 + 255], -1).astype(np.uint8)
    Image.fromarray(channels if coloured else IDS).save(tmp_path / "a_label_ground-truth.png")
    samples = [sample(label(OBJECTS)), sample(None, "b.jpg"), sample(label([], "PRELABELED"), "c.jpg")]
    picture(tmp_path / "b.jpg")
    picture(tmp_path / "c.jpg")
    export = read(tmp_path, release(samples))
    assert segments_ai.recognise(Source(tmp_path)) == "flowers-v1.0.json has a 'dataset' with 'task_type' and 'samples'"
    assert [(one.name, one.colour) for one in export.classes] == [("cat", (1, 2, 3)), ("road", None)]
    expected = np.where(IDS == 700, 1, np.where(IDS == 3, 0, UNLABELLED))
    np.testing.assert_array_equal(ids(export, "a"), expected)
    assert export.unlabelled == "ignore"
    assert by_name(export, "b").labels is None
    assert by_name(export, "c").labels is None
    assert list(export.notes) == [
        "Samples without labels: 1; the first is b.jpg in flowers-v1.0.json.",
        "Labels with the status 'PRELABELED' are left out: 1; the first is c.jpg in flowers-v1.0.json.",
    ]


def test_masks_of_classes_where_there_are_no_objects(tmp_path: Path) -> None:
    mask = np.where(IDS > 0, 9, 0).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "a_label_ground-truth_semantic.png")
    Image.fromarray(mask).save(tmp_path / "a_label_ground-truth_semantic_colored.png")
    export = read(tmp_path, release([sample(label(OBJECTS))]))
    np.testing.assert_array_equal(ids(export, "a"), np.where(IDS > 0, 1, UNLABELLED))


def test_a_picture_may_be_a_png_beside_its_mask(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    Image.fromarray(IDS).save(tmp_path / "x" / "b_label_ground-truth.png")
    picture(tmp_path / "x" / "b.png")
    export = read(tmp_path, release([sample(label(OBJECTS), "x/b.png")]))
    assert [one.picture for one in export.pictures] == [tmp_path / "x" / "b.png"]
    assert (ids(export, "x/b") == 1).any()


def test_vectors(tmp_path: Path) -> None:
    objects = [
        {"id": 1, "category_id": 4, "type": "bbox", "points": [[2, 3], [9, 8]]},
        {"id": 2, "category_id": 9, "type": "polygon", "points": [[5, 5], [20, 5], [20, 15], [5, 15]]},
        {"id": 3, "category_id": 9, "type": "point", "points": [[5, 5]]},
    ]
    export = read(tmp_path, release([sample(label(objects))], "vector"))
    expected = np.full((20, 30), UNLABELLED)
    expected[3:8, 2:9] = 0
    expected[5:15, 5:20] = 1
    np.testing.assert_array_equal(ids(export, "a"), expected)
    assert export.unlabelled == "background"
    assert export.notes == (
        "Objects of type 'point' are no areas and are left out: 1; the first is object 3 of a.jpg in "
        "flowers-v1.0.json.",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (release([sample(label(OBJECTS[:1]))]), "a_label_ground-truth.png holds 3, which the release does not name"),
        (release([sample(label([{"id": 1, "category_id": 5}]))]), "object of category 5, which flowers-v1.0.json"),
        (release([sample(label(None))]), "'annotations' of a.jpg in flowers-v1.0.json is None"),
        (release([sample(label(OBJECTS), "b.jpg")]), "None of the 1 pictures"),
        (release([7]), "Sample 1 of flowers-v1.0.json is 7"),
        (release([], "pointcloud-cuboid"), "is of a task 'pointcloud-cuboid'"),
    ],
)
def test_damage_is_an_error_that_names_the_place(tmp_path: Path, content: Any, words: str) -> None:
    Image.fromarray(IDS).save(tmp_path / "a_label_ground-truth.png")
    with pytest.raises(SourceError, match=words):
        ids(read(tmp_path, content), "a")


def test_a_mask_that_is_not_there_or_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"a.jpg in flowers-v1.0.json is labelled, but a_label_ground-truth.png is not"
    ):
        read(tmp_path, release([sample(label(OBJECTS))]))
    Image.fromarray(IDS[:5]).save(tmp_path / "a_label_ground-truth.png")
    with pytest.raises(SourceError, match="are for a picture of 30 x 5 pixels"):
        ids(read(tmp_path, release([sample(label(OBJECTS))])), "a")
    (tmp_path / "a_label_ground-truth.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match=r"a_label_ground-truth.png is no PNG that can be read"):
        ids(read(tmp_path, release([sample(label(OBJECTS))])), "a")
