"""YOLO's segments: https://docs.ultralytics.com/datasets/segment/, and Roboflow's and CVAT's exports of them.

Polygons are compared with ``polygon2mask`` and ``polygons2masks_overlap`` of https://github.com/ultralytics/ultralytics
(ultralytics/data/utils.py): OpenCV's ``fillPoly`` on 32-bit whole numbers, the smaller mask on top.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.formats import yolo
from internvl_seg.data.exports.source import Source

from ..making import by_name, drawn, ids, picture, written

BIG = "0 0.05 0.1 0.95 0.1 0.95 0.9 0.05 0.9"
SMALL = "2 0.31 0.32 0.63 0.33 0.52 0.71"
YAML = "path: /home/me/data\ntrain: images/train\nval: images/val\nnames: {0: road, 2: car}\n"


def polygon2mask(line: str, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    points = np.array(line.split()[1:], np.float32).reshape(-1, 2) * np.array([width, height], np.float32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, np.asarray([points], np.int32), (1,))
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        picture(tmp_path / "images" / split / f"{name}.jpg")
    written(tmp_path / "labels" / "train" / "a.txt", f"{SMALL}\n{BIG}\n\n")
    written(tmp_path / "labels" / "val" / "c.txt", "")
    written(tmp_path / "data.yaml", YAML)
    return tmp_path


def test_a_folder_of_images_elsewhere_is_not_that_of_all(folder: Path) -> None:
    written(folder / "data.yaml", YAML.replace("images/train", "../gone/images"))
    export = yolo.read(Source(folder))
    assert [(each.name, each.split) for each in export.pictures] == [("images/val/c", "val")]
    assert (
        "Folders of the YAML file that are not here: 1; the first is train: ../gone/images of data.yaml."
        in export.notes
    )


def test_the_smaller_is_on_top_and_class_0_is_no_background(folder: Path) -> None:
    assert yolo.recognise(Source(folder)) == "data.yaml has 'names' and folders of splits"
    export = yolo.read(Source(folder))
    assert ([label.name for label in export.classes], export.unlabelled) == (["road", "car"], "background")
    assert [(each.name, each.split) for each in export.pictures] == [
        ("images/train/a", "train"),
        ("images/train/b", "train"),
        ("images/val/c", "val"),
    ]
    found = drawn(export, "images/train/a")
    big, small = polygon2mask(BIG), polygon2mask(SMALL)
    np.testing.assert_array_equal(found.ids, np.where(small, 1, np.where(big, 0, UNLABELLED)))
    assert found.overlapped == small.sum() > 0
    assert (ids(export, "images/train/b") == UNLABELLED).all()
    assert export.notes == (
        "Pictures without a file of labels, taken as background alone: 1; the first is images/train/b.jpg.",
        "Pictures with no polygon in their file, taken as background alone: 1; the first is labels/val/c.txt.",
    )


def test_the_paths_of_roboflow_begin_above_the_folder(tmp_path: Path) -> None:
    names = {"train": ("x_jpg.rf.01.jpg", "x_jpg.rf.02.jpg"), "valid": ("y.v2_png.rf.03.jpg",)}
    for split, pictures in names.items():
        for name in pictures:
            picture(tmp_path / split / "images" / name)
            written(tmp_path / split / "labels" / f"{name.removesuffix('.jpg')}.txt", BIG)
    written(
        tmp_path / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['road', 'car']\n\n"
        "roboflow:\n  workspace: w\n  version: 2\n",
    )
    export = yolo.read(Source(tmp_path))
    assert [(each.name, each.split, each.group) for each in export.pictures] == [
        ("train/images/x_jpg.rf.01", "train", "x_jpg"),
        ("train/images/x_jpg.rf.02", "train", "x_jpg"),
        ("valid/images/y.v2_png.rf.03", "val", "y.v2_png"),
    ]
    np.testing.assert_array_equal(ids(export, "valid/images/y.v2_png.rf.03") == 0, polygon2mask(BIG) > 0)
    assert export.notes == (
        "Folders of the YAML file that are not here: 1; the first is test: ../test/images of data.yaml.",
    )


def test_lists_of_pictures_as_cvat_writes_them(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "Train" / "day 1" / "a.png")
    picture(tmp_path / "images" / "Train" / "spare.png")
    written(tmp_path / "labels" / "Train" / "day 1" / "a.txt", BIG)
    written(tmp_path / "Train.txt", "data/images/Train/day 1/a.png\n")
    written(tmp_path / "data.yaml", "Train: Train.txt\ntrain: Train.txt\nnames:\n  0: road\npath: .\n")
    export = yolo.read(Source(tmp_path))
    assert [(each.name, each.split) for each in export.pictures] == [("images/Train/day 1/a", "train")]
    assert "Pictures outside of the splits' folders, left out: 1; the first is images/Train/spare.png." in export.notes


def test_without_a_yaml_the_classes_are_given(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    written(tmp_path / "labels" / "a.txt", BIG)
    assert yolo.recognise(Source(tmp_path)) == "labels/a.txt has a class and a polygon a line"
    with pytest.raises(SourceError, match=r"has no data\.yaml that names the classes.*--classes"):
        yolo.read(Source(tmp_path))
    names = written(tmp_path / "names.txt", "road\n")
    assert [each.name for each in yolo.read(Source(tmp_path, classes=names)).pictures] == ["images/a"]


def test_labels_apart_from_the_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "far" / "train" / "a.jpg")
    written(tmp_path / "export" / "labels" / "train" / "a.txt", BIG)
    written(tmp_path / "export" / "data.yaml", "train: images/train\nval: images/val\nnames: [road]\n")
    export = yolo.read(Source(tmp_path / "export", images=tmp_path / "far"))
    assert by_name(export, "train/a").split == "train"
    assert (ids(export, "train/a") == 0).any()


def test_a_split_that_is_two_is_split_anew(folder: Path) -> None:
    written(folder / "data.yaml", YAML.replace("images/val", "images/train"))
    export = yolo.read(Source(folder))
    assert [each.split for each in export.pictures] == [None, None]
    assert "Pictures of two splits, to be split anew: 2; the first is images/train/a.jpg of data.yaml." in export.notes


def test_boxes_beside_polygons_are_left_out(folder: Path) -> None:
    written(folder / "labels" / "train" / "a.txt", f"{BIG}\n0 0.5 0.5 0.2 0.2\n")
    written(folder / "labels" / "train" / "b.txt", "0 0.5 0.5 0.2 0.2\n")
    export = yolo.read(Source(folder))
    assert "Boxes without a polygon, left out: 2; the first is labels/train/a.txt." in export.notes
    assert (ids(export, "images/train/b") == UNLABELLED).all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.2 0.2", "hold boxes alone"),
        ("0 0.1 0.1 0.9 0.1 0.9 0.9 0.5", r"a\.txt:1 is '0 0\.1 .*: a class and three or more points"),
        ("road 0.1 0.1 0.9 0.1 0.9 0.9", r"a\.txt:1 is 'road"),
        ("0 0.1", r"a\.txt:1 is '0 0\.1'"),
        ("1 0.1 0.1 0.9 0.1 0.9 0.9", r"a\.txt:1 is of class 1, but the classes are 0, 2"),
        ("0.5 0.1 0.1 0.9 0.1 0.9 0.9", r"a\.txt:1 is of class 0\.5"),
        ("0 10 10 300 10 300 200", r"a\.txt:1 has 10 10 \.\.\.: YOLO's are parts"),
        ("0 0.1 nan 0.9 0.1 0.9 0.9", r"a\.txt:1 has 0\.1 nan"),
    ],
)
def test_what_is_not_as_yolo_says(folder: Path, line: str, words: str) -> None:
    written(folder / "labels" / "train" / "a.txt", f"{line}\n")
    with pytest.raises(SourceError, match=words):
        yolo.read(Source(folder))


def test_points_beyond_the_picture_are_counted(folder: Path) -> None:
    written(folder / "labels" / "train" / "a.txt", "0 -0.5 0.1 1.005 0.1 0.9 1.2\n")
    notes = yolo.read(Source(folder)).notes
    assert (
        "Polygons that reach out of the picture, cut off at its border: 1; the first is labels/train/a.txt:1." in notes
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("train: images/train\nval: images/val\nnames: {a: b}\n", "no names of classes"),
        ("train: images/train\nval: images/val\nnames: [[a]]\n", "no names of classes"),
        ("train: images/train\nval: images/val\nnc: 3\n", "no names of classes"),
        ("train: images/train\nval: images/val\nnames: [a]\nkpt_shape: [17, 3]\n", "kpt_shape"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{after}: &{after} [{', '.join([f'*{key}'] * 9)}]\n"
                for key, after in zip("abcdefgh", "bcdefghi", strict=True)
            )
            + "train: images/train\nnames: *i\n",
            "no names of classes",
        ),
    ],
)
def test_what_is_no_yaml_of_yolo(folder: Path, content: str, words: str) -> None:
    written(folder / "data.yaml", content)
    with pytest.raises(SourceError, match=words):
        yolo.read(Source(folder))


def test_other_programs_yaml_is_not_yolo(tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", "names: [x]\nimage: y\n")
    written(tmp_path / "b.yml", "{")
    written(tmp_path / "labels" / "a.txt", "0 0.5 0.5 0.1 0.1")
    assert yolo.recognise(Source(tmp_path)) is None


def test_without_a_yaml_the_classes_may_lie_beside_and_first_files_be_empty(tmp_path: Path) -> None:
    """Label Studio's export "YOLO with images": classes.txt, notes.json, images and labels."""
    for i in range(5):
        picture(tmp_path / "images" / f"{i}.jpg")
        written(tmp_path / "labels" / f"{i}.txt", "" if i < 4 else BIG)
    written(tmp_path / "classes.txt", "road\ncar\n")
    assert yolo.recognise(Source(tmp_path)) == "labels/4.txt has a class and a polygon a line"
    export = yolo.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["road", "car"]
    assert "The classes are those of classes.txt." in export.notes


@pytest.mark.parametrize("folder", ["", "lists/"])
def test_pictures_that_a_list_names_and_that_are_not_there_are_told(tmp_path: Path, folder: str) -> None:
    picture(tmp_path / "images" / "a.jpg")
    picture(tmp_path / "images" / "b.jpg")
    written(tmp_path / "labels" / "a.txt", BIG)
    written(tmp_path / f"{folder}train.txt", "/content/images/a.jpg\n\n/content/images/gone.jpg\n")
    written(tmp_path / "data.yaml", f"train: /content/{folder}train.txt\nnames: [road]\n")
    export = yolo.read(Source(tmp_path))
    assert [(each.name, each.split) for each in export.pictures] == [("images/a", "train")]
    words = f"lists that are not here, left out: 1; the first is /content/images/gone.jpg in {folder}train"
    assert any(words in note for note in export.notes)


@pytest.mark.parametrize("names", ["[road, tree, car]", "{0: road, 1: tree, 2: car}"])
def test_a_yaml_file_of_names_alone_names_the_classes_of_labels_beside_images(tmp_path: Path, names: str) -> None:
    picture(tmp_path / "images/a.jpg")
    written(tmp_path / "labels/a.txt", SMALL)
    written(tmp_path / "dataset.yaml", f"names: {names}\n")
    export = yolo.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["road", "tree", "car"]
    np.testing.assert_array_equal(ids(export, "images/a"), np.where(polygon2mask(SMALL), 2, UNLABELLED))
