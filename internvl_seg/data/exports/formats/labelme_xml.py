"""LabelMe 3.0: an XML file a picture, as the annotation tool of MIT and CVAT ("LabelMe 3.0") write it.

As http://labelme.csail.mit.edu (``Annotations/FOLDER/x.xml`` for ``Images/FOLDER/x.jpg``) and labelme_format.py of
https://github.com/cvat-ai/datumaro (beside the picture, and brush masks in ``Masks/``) have it. Polygons and boxes are
drawn by COCO's own rasteriser, as CVAT draws them; of masks what is not transparent counts; later objects are on top.
Objects that were deleted are left out. A picture without an object is background: its file says that it was seen.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ..class_table import ClassTable
from ..coco_polygon import coco_polygon
from ..drawing import Patch, Shape, check_reach, labels_of
from ..export import Export, SourceError
from ..fields import is_count
from ..inline_images import png_mask
from ..notes import Notes
from ..picture_index import Labelled, PictureIndex
from ..source import Source
from ..splitting import split_of
from ..xml_tree import read_xml

SUMMARY = "LabelMe 3.0 (MIT's tool, CVAT): an XML file a picture with polygons, boxes and masks"
_HEAD = 4096
_LOOKED_AT = 20
_MARKS = (b"<annotation>", b"<filename>")
# What Pascal VOC's files have not, also those of Roboflow with polygons of x1, y1 and so on.
_OF_OBJECTS = (b"<pt>", b"<segm>", b"<deleted>", b"<sourceAnnotation>")
_MASKS = "Masks"


def recognise(source: Source) -> str | None:
    """What tells that it is LabelMe's."""
    names = source.of_suffix(".xml")
    for name in names[:: max(len(names) // _LOOKED_AT, 1)]:
        if _is_labelme(source, name):
            return f"{name} has <annotation> with LabelMe's <pt>, <segm> or <sourceAnnotation>"
    return None


def _is_labelme(source: Source, name: str) -> bool:
    with source.path(name).open("rb") as file:
        head = file.read(_HEAD)
    return all(mark in head for mark in _MARKS) and any(mark in head for mark in _OF_OBJECTS)


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: A file is not as LabelMe's are, or no picture is there.
    """
    files = [name for name in source.of_suffix(".xml") if _is_labelme(source, name)]
    if not files:
        raise SourceError(f"{source.root} has no XML file with <annotation> and polygons, as LabelMe's.")
    index, notes, table = PictureIndex(source), Notes(), ClassTable(f"{source.root}")
    of_objects = _Masks(source)
    masks = {name for name in index.files if _MASKS in PurePosixPath(name).parts[:-1]}
    shapes: dict[str, list[tuple[str, Callable[[tuple[int, int]], Patch]]]] = {}
    found: dict[str, tuple[str, tuple[int, int] | None]] = {}
    for name in files:
        root = read_xml(source.path(name))
        stated = (root.findtext("filename") or "").strip()
        folder = (root.findtext("folder") or "").strip()
        near = PurePosixPath(name).parent.as_posix().removeprefix(".")
        file = index.find(f"{near}/{stated}", near, [folder] if folder else [])
        if file is None or file in masks:
            notes.add("Pictures that are not there, left out", f"{stated} of {name}")
            continue
        if file in found:
            raise SourceError(f"{found[file][0]} and {name} are both for the picture {file}. Delete one of them.")
        found[file] = name, _size(root)
        shapes[file] = [
            (label, pixels)
            for number, element in enumerate(root.iter("object"), start=1)
            for label, pixels in _object(of_objects, element, f"object {number} of {name}", near, notes)
        ]
        if not shapes[file]:
            notes.add("Pictures without an object, taken as background alone", name)
    # By name, as no file lists the classes.
    places = {name: table.add(name) for name in sorted({label for of in shapes.values() for label, _ in of})}
    if spare := [file for file in index.files if file not in found and file not in masks]:
        notes.add("Pictures that no file of labels names, left out", spare[0], len(spare))
    pictures = {
        file: Labelled(
            labels_of([Shape(places[label], pixels) for label, pixels in shapes[file]], f"{file} of {name}", size),
            name,
            split_of(file),
        )
        for file, (name, size) in found.items()
    }
    why = recognise(source) or "--format labelme_xml"
    return Export("labelme_xml", why, table.labels(), index.annotated(pictures), "background", notes.sentences())


class _Masks:
    """The files of masks: in ``Masks`` of the folder of the labels, or of one above it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._there = frozenset(source.files)
        self._named: dict[str, list[str]] = {}
        for name in source.of_suffix(".png"):
            self._named.setdefault(PurePosixPath(name).name, []).append(name)

    def path(self, stated: str, near: str, what: str) -> Path:
        """The path of a mask that an object names.

        Raises:
            SourceError: It is not in the export.
        """
        parts = PurePosixPath(near).parts
        found = [PurePosixPath(*parts[:depth], _MASKS, stated).as_posix() for depth in range(len(parts), -1, -1)]
        named = self._named.get(PurePosixPath(stated).name, [])
        name = next((path for path in found if path in self._there), named[0] if len(named) == 1 else None)
        if name is None:
            raise SourceError(
                f"The mask {stated!r} of {what} is not in a folder {_MASKS} of {self._source.folder}. Export again, "
                "with the masks."
            )
        return self._source.path(name)


def _size(root: Element) -> tuple[int, int] | None:
    """What the file says of the picture; files of the web page say nothing, or 0."""
    height, width = ((root.findtext(f"imagesize/{key}") or "").strip() for key in ("nrows", "ncols"))
    return (int(height), int(width)) if is_count(height) and is_count(width) and int(height) * int(width) else None


def _object(
    masks: _Masks, element: Element, what: str, near: str, notes: Notes
) -> list[tuple[str, Callable[[tuple[int, int]], Patch]]]:
    """The name and the pixels of an object; none if it is no area."""
    name = " ".join((element.findtext("name") or "").split())
    if (element.findtext("deleted") or "").strip() == "1":
        notes.add("Objects that were deleted, left out", what)
        return []
    if not name:
        notes.add("Objects without a name, left out", what)
        return []
    if (polygon := element.find("polygon")) is not None:
        points = _points(polygon, what)
        if len(points) < 3 or not (np.ptp(points, axis=0) > 0).all():
            notes.add("Objects of fewer than three points or of no extent, left out", what)
            return []
        return [(name, partial(coco_polygon, [points]))]
    stated = (element.findtext("segm/mask") or "").strip()
    if not stated:
        notes.add("Objects without a polygon or a mask, left out", what)
        return []
    return [(name, partial(_mask, masks.path(stated, near, what), what))]


def _points(polygon: Element, what: str) -> NDArray[np.float64]:
    pairs = [(point.findtext("x"), point.findtext("y")) for point in polygon.iter("pt")]
    try:
        points = np.array([[float(x or ""), float(y or "")] for x, y in pairs], np.float64).reshape(-1, 2)
    except ValueError as error:
        raise SourceError(f"The points of {what} are {str(pairs)[:60]}: numbers were expected.") from error
    check_reach(points, what)
    return points


def _mask(path: Path, what: str, size: tuple[int, int]) -> Patch:
    return Patch(0, 0, png_mask(path.read_bytes(), size, f"{path}, the mask of {what},", exact=True))
