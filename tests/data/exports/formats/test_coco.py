"""COCO's files: https://cocodataset.org/#format-data, and as CVAT writes them.

CVAT's "COCO 1.0" is datumaro's exporter (datumaro/plugins/data_formats/coco/exporter.py): ``annotations/
instances_SUBSET.json`` and ``images/``, boxes with ``segmentation: []``, brush masks as crowds with plain run lengths.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from internvl_seg.data.exports.coco_polygon import coco_polygon
from internvl_seg.data.exports.drawing import Shape, draw
from internvl_seg.data.exports.export import UNLABELLED, SourceError, Window
from internvl_seg.data.exports.formats import coco
from internvl_seg.data.exports.source import Source

from ..making import by_name, drawn, ids, picture, written
from ..prepared import make, masks, names, save

SQUARE = [2, 2, 10, 2, 10, 10, 2, 10]
CATEGORIES = [{"id": 44, "name": "cat", "supercategory": "animal"}, {"id": 7, "name": "dog"}]
IMAGES = [{"id": 5, "file_name": "a.png", "width": 30, "height": 20}]


def entry(segmentation: Any, category: Any = 7, image: Any = 5, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0} | more


def of(*annotations: Any, images: Any = IMAGES, categories: Any = CATEGORIES) -> dict[str, Any]:
    return {"images": images, "annotations": list(annotations), "categories": categories, "info": {}, "licenses": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "images" / "a.png")
    return tmp_path


def test_ids_with_gaps_parts_and_the_order_of_annotations(folder: Path) -> None:
    two = [[20.5, 3.5, 28, 3.5, 28, 9], [15, 12, 25, 12, 25, 18, 15, 18]]
    written(folder / "a.json", of(entry([SQUARE]), entry(two, 44), entry([[8, 8, 22, 8, 22, 14, 8, 14]])))
    assert coco.recognise(Source(folder)) == "a.json has 'images', 'annotations' and 'categories'"
    export = coco.read(Source(folder))
    assert [label.name for label in export.classes] == ["dog", "cat"]
    assert (export.format, export.unlabelled, [each.name for each in export.pictures]) == (
        "coco",
        "background",
        ["images/a"],
    )
    parts = [np.array(part).reshape(-1, 2).astype(float) for part in ([SQUARE], two, [[8, 8, 22, 8, 22, 14, 8, 14]])[1]]
    later = np.array([[8.0, 8], [22, 8], [22, 14], [8, 14]])
    square = np.array(SQUARE, float).reshape(-1, 2)
    expected = draw(
        (20, 30),
        [
            Shape(0, lambda size: coco_polygon([square], size)),
            Shape(1, lambda size: coco_polygon(parts, size)),
            Shape(0, lambda size: coco_polygon([later], size)),
        ],
    )
    found = drawn(export, "images/a")
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert found.overlapped == expected.overlapped == 14
    assert {0, 1, UNLABELLED} == set(np.unique(found.ids).tolist())


def test_masks_of_a_brush_in_cvat_are_crowds_and_its_boxes_have_no_mask(folder: Path) -> None:
    counts = [40, 5, 15, 5, 535]
    picture(folder / "images" / "empty.png")
    images = [*IMAGES, {"id": 6, "file_name": "empty.png", "width": 30, "height": 20}]
    brush = entry({"size": [20, 30], "counts": counts}, iscrowd=1, bbox=[2, 0, 2, 5])
    box = entry([], 44, bbox=[1, 1, 5, 5]) | {"id": 12}
    written(folder / "annotations" / "instances_default.json", of(brush, box, images=images))
    export = coco.read(Source(folder))
    assert np.argwhere(ids(export, "images/a") == 0).tolist() == [
        [row, column] for row in range(5) for column in (2, 3)
    ]
    assert (ids(export, "images/empty") == UNLABELLED).all()
    assert export.notes == (
        "Annotations without a mask (boxes, points), left out: 1; the first is annotation 12 of "
        "annotations/instances_default.json.",
        "Pictures without an annotation, taken as background alone: 1; the first is empty.png of "
        "annotations/instances_default.json.",
    )


def test_compressed_run_lengths(folder: Path) -> None:
    """pycocotools' ``encode`` of a mask of 20 x 30 with the first column set."""
    written(folder / "a.json", of(entry({"size": [20, 30], "counts": "0d0Tb0"})))
    assert np.flatnonzero((ids(coco.read(Source(folder)), "images/a") == 0).any(0)).tolist() == [0]


def test_splits_by_the_names_of_files_and_pictures_in_their_folders(tmp_path: Path) -> None:
    for split, number in (("train", 2), ("val", 1)):
        images = [{"id": i, "file_name": f"{i:012}.jpg", "width": 30, "height": 20} for i in range(number)]
        for image in images:
            picture(tmp_path / f"{split}2017" / image["file_name"])
        content = of(*(entry([SQUARE], image=i) for i in range(number)), images=images)
        written(tmp_path / "annotations" / f"instances_{split}2017.json", content)
        written(tmp_path / "annotations" / f"person_keypoints_{split}2017.json", content)
        written(tmp_path / "annotations" / f"captions_{split}2017.json", {"images": images, "annotations": []})
    picture(tmp_path / "val2017" / "other.jpg")
    export = coco.read(Source(tmp_path))
    assert {each.name: each.split for each in export.pictures} == {
        "train2017/000000000000": "train",
        "train2017/000000000001": "train",
        "val2017/000000000000": "val",
    }
    assert export.notes == (
        "COCO files beside those of the objects, left out: 2; the first is "
        "annotations/person_keypoints_train2017.json.",
        "Pictures that no file of labels names, left out: 1; the first is val2017/other.jpg.",
    )


def test_a_single_file_with_the_pictures_elsewhere(tmp_path: Path) -> None:
    picture(tmp_path / "far" / "site 1" / "a.jpg")
    picture(tmp_path / "far" / "site 2" / "a.jpg")
    images = [
        {"id": 1, "file_name": "C:\\data\\site 2\\a.jpg", "width": 30, "height": 20},
        {"id": 2, "file_name": "/home/me/site 1/a.jpg", "width": 30, "height": 20},
        {"id": 3, "file_name": "../../gone.jpg", "width": 30, "height": 20},
    ]
    file = written(
        tmp_path / "labels" / "a.json", of(entry([SQUARE], image=1), entry([SQUARE], image=3), images=images)
    )
    export = coco.read(Source(file, images=tmp_path / "far"))
    assert [each.name for each in export.pictures] == ["site 1/a", "site 2/a"]
    assert (ids(export, "site 2/a") == 0).any()
    assert not (ids(export, "site 1/a") == 0).any()
    assert "Pictures that are not there, left out: 1; the first is ../../gone.jpg of a.json." in export.notes
    with pytest.raises(
        SourceError, match=r"None of the labelled pictures is in .*labels, which has 0 .* --images, or .* SOURCE"
    ):
        coco.read(Source(file))


def test_two_pictures_of_one_name(tmp_path: Path) -> None:
    picture(tmp_path / "b" / "a.png")
    picture(tmp_path / "c" / "a.png")
    written(tmp_path / "a.json", of(entry([SQUARE])))
    with pytest.raises(SourceError, match=r"Which picture 'a\.png' is cannot be told: .* b/a\.png and c/a\.png"):
        coco.read(Source(tmp_path))


def test_pictures_that_differ_in_their_suffix_alone_keep_it(folder: Path) -> None:
    picture(folder / "images" / "A.jpg")
    images = [*IMAGES, {"id": 6, "file_name": "A.jpg"}]
    written(folder / "a.json", of(entry([SQUARE]), images=images))
    assert [each.name for each in coco.read(Source(folder)).pictures] == ["images/A.jpg", "images/a.png"]


def test_what_is_left_out_is_counted(folder: Path) -> None:
    out = [25, 5, 45, 5, 45, 15, 25, 15]
    content = of(entry([SQUARE, [1, 1, 2, 2]]), entry([[3, 3, 4, 4]]), entry([out]), entry([SQUARE], image=99))
    written(folder / "a.json", content)
    notes = coco.read(Source(folder)).notes
    assert notes == (
        "Polygons of fewer than three points, left out: 2; the first is annotation 1 of a.json.",
        "Polygons that reach out of the picture, cut off at its border: 1; the first is annotation 1 of a.json.",
        "Annotations of a picture that their file has not, left out: 1; the first is annotation 1 of a.json.",
    )


@pytest.mark.parametrize("colour", [[256, 0, 0], [-1, 0, 0], [1, 2], [0.5, 0, 0], [True, 0, 0], "#ff0000"])
def test_what_is_no_colour_of_a_category(folder: Path, colour: Any) -> None:
    categories = [{"id": 7, "name": "cat", "color": colour}, {"id": 44, "name": "dog", "color": [255, 0, 1]}]
    written(folder / "a.json", of(entry([SQUARE]), categories=categories))
    assert [label.colour for label in coco.read(Source(folder)).classes] == [None, (255, 0, 1)]


def test_one_picture_in_two_files_has_the_labels_of_both(folder: Path) -> None:
    written(folder / "a.json", of(entry([SQUARE])))
    written(folder / "b.json", of(entry([[12, 2, 18, 2, 18, 10]], 1), categories=[{"id": 1, "name": "cat"}]))
    export = coco.read(Source(folder))
    assert set(np.unique(ids(export, "images/a")).tolist()) == {0, 1, UNLABELLED}
    assert [label.name for label in export.classes] == ["dog", "cat"]
    assert any("named twice" in note for note in export.notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (of(entry([SQUARE], 9)), "has category_id 9, but the categories there are 7, 44"),
        (of(entry([[1, 2, 3, float("nan"), 5, 6]])), "hold nan"),
        (of(entry([[1, 2, 3, 4, 5, 6, 7]])), "pairs of x and y were expected"),
        (of(entry("abc")), "a list or run lengths were expected"),
        (of({"image_id": 5}), "image_id and category_id were expected"),
        (of(7), "image_id and category_id were expected"),
        (of(entry([SQUARE]), images=[{"id": 5}]), "id and file_name were expected"),
        (of(entry([SQUARE]), images=IMAGES * 2), "two images of id 5"),
        (of(entry([SQUARE]), categories=CATEGORIES * 2), "two categories of one id"),
        (of(entry([SQUARE]), categories=[{"id": 7, "name": " "}]), "a class without a name"),
        (of(entry([SQUARE]), categories=[{"id": i, "name": f"c{i}"} for i in range(300)]), "more than 254 classes"),
        (of(entry([], bbox=[1, 2, 3, 4])), "has boxes or points alone"),
        (of({"image_id": 5, "file_name": "a.png", "segments_info": []}), "panoptic format"),
    ],
)
def test_what_is_not_as_coco_says(folder: Path, content: Any, words: str) -> None:
    written(folder / "a.json", content)
    with pytest.raises(SourceError, match=words) as caught:
        coco.read(Source(folder))
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize(("height", "width"), [(10**9, 10**9), (30, 20)])
def test_a_size_that_is_not_the_pictures(folder: Path, height: int, width: int) -> None:
    images = [{"id": 5, "file_name": "a.png", "width": width, "height": height}]
    written(folder / "a.json", of(entry({"size": [height, width], "counts": [height * width]}), images=images))
    labels = by_name(coco.read(Source(folder)), "images/a").labels
    assert labels is not None
    with pytest.raises(SourceError, match=rf"a\.png of a\.json was labelled with {height} rows"):
        labels((20, 30), Window(0, 0, 20, 30))


def test_windows_of_a_picture(folder: Path) -> None:
    written(folder / "a.json", of(entry([SQUARE])))
    export = coco.read(Source(folder))
    labels = by_name(export, "images/a").labels
    assert labels is not None
    np.testing.assert_array_equal(labels((20, 30), Window(4, 5, 7, 9)).ids, ids(export, "images/a")[4:11, 5:14])


def test_what_is_not_coco_is_not_recognised(tmp_path: Path) -> None:
    written(tmp_path / "a.json", {"images": {}, "annotations": [], "categories": []})
    written(tmp_path / "b.json", {"shapes": [], "imagePath": "images annotations categories"})
    written(tmp_path / "c.json", '["images", "annotations", "categories"]')
    assert coco.recognise(Source(tmp_path)) is None


@pytest.mark.parametrize(
    "named",
    [
        "https://bucket.s3.amazonaws.com/x/my%20photo.png?X-Amz-Expires=60&a=b.jpg",
        "https://storage.example/o/x%2Fmy%20photo.png?alt=media",
        "my%20photo.png",
    ],
)
def test_pictures_are_found_by_addresses_on_the_web(tmp_path: Path, named: str) -> None:
    picture(tmp_path / "images/my photo.png")
    written(tmp_path / "a.json", of(entry([SQUARE]), images=[{"id": 5, "file_name": named, "width": 30, "height": 20}]))
    export = coco.read(Source(tmp_path))
    assert [each.name for each in export.pictures] == ["images/my photo"]


@pytest.mark.parametrize("name", ["panoptic_val.json", "val.json"])
def test_a_split_without_a_label_beside_panoptic_ones(folder: Path, name: str) -> None:
    """Nothing in it tells that it is panoptic: it alone was converted, as background."""
    written(folder / "panoptic_train.json", of({"image_id": 5, "file_name": "a.png", "segments_info": []}))
    written(folder / name, of())
    with pytest.raises(SourceError, match="panoptic format"):
        coco.read(Source(folder))
    # A split without a label beside objects is one of theirs, unless its name says panoptic.
    written(folder / "train.json", of(entry([[1, 1, 5, 1, 5, 5]], 7, 5)))
    notes = " ".join(coco.read(Source(folder)).notes)
    assert ("COCO files beside those of the objects, left out: 2" in notes) == ("panoptic" in name)


@pytest.mark.parametrize("named", [None, "dog\nvoid\ncat\n"])
@pytest.mark.parametrize("name", ["void", "ignore", "Unlabeled"])
def test_objects_of_what_is_called_void_are_ignored(tmp_path: Path, name: str, named: str | None) -> None:
    """As masks of a class that is called so; such objects were a class that was trained."""
    save(tmp_path / "in/images/a.png", np.zeros((20, 30, 3), np.uint8))
    categories = [*CATEGORIES, {"id": 30, "name": name}]
    objects = (
        entry([SQUARE]),
        entry([[15, 2, 25, 2, 25, 8, 15, 8]], 30),
        entry([[15, 10, 25, 10, 25, 18, 15, 18]], 44),
    )
    written(tmp_path / "in/a.json", of(*objects, categories=categories))
    names_file = written(tmp_path / "names.txt", (named or "").replace("void", name)) if named else None
    prepared = make(tmp_path / "in", tmp_path / "out", classes=names_file)
    assert names(prepared) == ["background", "dog", "cat"]
    found = masks(tmp_path / "out")["train/a"]
    assert (found[4, 4], found[5, 20], found[15, 20], found[0, 0]) == (1, 255, 2, 0)
    assert f"{name!r} is no class: its pixels are ignored (255)." in prepared.ids.notes
