"""YOLO's segmentation labels, as Ultralytics reads them: a text file a picture, a line an object.

As https://docs.ultralytics.com/datasets/segment/ says and ultralytics/data/utils.py of
https://github.com/ultralytics/ultralytics reads: ``CLASS X Y X Y X Y ...`` in parts of the picture's width and height,
drawn by ``polygon2mask`` (OpenCV, fractions of pixels cut off), the larger object below the smaller. A file without a
line of more than six numbers holds boxes. Roboflow and CVAT ("Ultralytics YOLO Segmentation") write the same.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..drawing import Patch, Shape, draw, opencv_polygon
from ..export import Drawn, Export, Labels, SourceError, whole_map
from ..fields import is_count
from ..notes import Notes
from ..picture_index import Labelled, PictureIndex
from ..source import Source
from ..yolo_layout import label_file, read_layout, yaml_file

SUMMARY = "YOLO segmentation (Ultralytics, Roboflow, CVAT): data.yaml, labels/*.txt beside images/"
# Ultralytics takes a file for polygons if a line has more fields.
_BOX = 5
_MOST_OF_BOXES = 6
_TOLERANCE = 0.01
# Of label files, to tell the format where there is no YAML file.
_LOOKED_AT = 1000
_ABSURD = 2.0


def recognise(source: Source) -> str | None:
    """What tells that it is YOLO's."""
    if (name := yaml_file(source)) is not None:
        return f"{name} has 'names' and folders of splits"
    texts = [name for name in source.of_suffix(".txt") if "labels" in PurePosixPath(name).parts[:-1]]
    for name in texts[:: max(len(texts) // _LOOKED_AT, 1)]:
        if not source.path(name).stat().st_size:
            continue  # A picture without an object.
        fields = source.path(name).read_bytes()[:4096].decode("utf-8-sig", "replace").partition("\n")[0].split()
        if len(fields) > _BOX and is_count(fields[0]) and all(_is_number(field) for field in fields[:-1]):
            return f"{name} has a class and a polygon a line"
    return None


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: The labels are boxes, or not as YOLO's are; or no picture is there.
    """
    notes, index = Notes(), PictureIndex(source)
    layout = read_layout(source, index, notes)
    texts = _LabelFiles(source)
    found: dict[str, Labelled] = {}
    boxes = polygons = 0
    first_box = ""
    for file, split in layout.pictures.items():
        text = texts.of(file)
        rows: list[tuple[int, NDArray[np.float32]]] = []
        if text is not None:
            rows, of_boxes = _rows(source, text, layout.places, notes)
            boxes += of_boxes
            polygons += len(rows)
            if of_boxes:
                first_box = first_box or text
                notes.add("Boxes without a polygon, left out", text, of_boxes)
            if not rows:
                notes.add("Pictures with no polygon in their file, taken as background alone", text)
        else:
            notes.add("Pictures without a file of labels, taken as background alone", file)
        found[file] = Labelled(_labels(rows), text or layout.why, split, _scene(file))
    if boxes and not polygons:
        raise SourceError(
            f"{source.path(first_box)} and the other files of labels hold boxes alone, five numbers a line; polygons "
            "were expected. Label outlines, or export them if they are labelled ('segmentation')."
        )
    if spare := [file for file in index.files if file not in found]:
        notes.add("Pictures outside of the splits' folders, left out", spare[0], len(spare))
    annotated = index.annotated(found)
    return Export("yolo", layout.why, layout.table.labels(), annotated, "background", notes.sentences())


class _LabelFiles:
    """The files of labels by pictures: where Ultralytics looks, beside the picture, or elsewhere with --images."""

    def __init__(self, source: Source) -> None:
        self._there = set(source.files)
        texts = source.of_suffix(".txt") if source.images is not None else []
        self._by_stem = {PurePosixPath(name).stem: name for name in texts}

    def of(self, picture: str) -> str | None:
        for name in (label_file(picture), PurePosixPath(picture).with_suffix(".txt").as_posix()):
            if name in self._there:
                return name
        return self._by_stem.get(PurePosixPath(picture).stem)


def _scene(file: str) -> str | None:
    """The picture that Roboflow made several of: 'a_jpg' of 'a_jpg.rf.0123.jpg'."""
    stem, mark, _ = PurePosixPath(file).name.partition(".rf.")
    return stem if mark else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(
    source: Source, name: str, places: dict[int, int], notes: Notes
) -> tuple[list[tuple[int, NDArray[np.float32]]], int]:
    """A file's polygons with the places of their classes, and how many boxes it has."""
    lines = source.path(name).read_bytes().decode("utf-8-sig", "replace").splitlines()
    fields = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not any(len(row) > _MOST_OF_BOXES for _, row in fields):
        for number, row in fields:
            if len(row) < _BOX or not all(map(_is_number, row)):
                raise _unexpected(source, name, number, row)
        return [], len(fields)
    rows: list[tuple[int, NDArray[np.float32]]] = []
    boxes = 0
    for number, row in fields:
        if len(row) % 2 == 0 or not all(map(_is_number, row)):
            raise _unexpected(source, name, number, row)
        if len(row) <= _BOX:
            boxes += 1
            continue
        of_class = float(row[0])
        place = places.get(int(of_class)) if of_class.is_integer() else None
        if place is None:
            raise SourceError(
                f"{source.path(name)}:{number} is of class {row[0]}, but the classes are "
                f"{str(list(places))[1:-1][:80]}. Name it in data.yaml, or delete that line."
            )
        points = np.array(row[1:], np.float32).reshape(-1, 2)
        if not (np.abs(points) <= _ABSURD).all():
            raise SourceError(
                f"{source.path(name)}:{number} has {row[1]} {row[2]} ...: YOLO's are parts of the picture's width and "
                "height, from 0 to 1. Divide pixels by them."
            )
        if (points < -_TOLERANCE).any() or (points > 1 + _TOLERANCE).any():
            notes.add("Polygons that reach out of the picture, cut off at its border", f"{name}:{number}")
        rows.append((place, points))
    return rows, boxes


def _unexpected(source: Source, name: str, number: int, row: list[str]) -> SourceError:
    return SourceError(
        f"{source.path(name)}:{number} is {' '.join(row)[:60]!r}: a class and three or more points, x and y each, were "
        "expected."
    )


def _labels(rows: Sequence[tuple[int, NDArray[np.float32]]]) -> Labels:
    def paint(size: tuple[int, int]) -> Drawn:
        scale = np.array([size[1], size[0]], np.float32)
        patches = [(place, opencv_polygon((points * scale).astype(np.float64), size)) for place, points in rows]
        areas = np.array([np.count_nonzero(patch.mask) for _, patch in patches], np.int64)
        order = np.argsort(-areas, kind="stable").tolist()
        return draw(size, [Shape(patches[i][0], partial(_as_is, patches[i][1])) for i in order])

    return whole_map(paint)


def _as_is(patch: Patch, size: tuple[int, int]) -> Patch:
    return patch
