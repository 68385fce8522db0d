"""CVAT for images 1.1: shapes of all pictures in one XML file a task.

As https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/ and .../xml_format/ say. Shapes are drawn as CVAT's
own mask export draws them: polygons and boxes with COCO's rasteriser, ellipses with OpenCV, in the order of z_order
(https://github.com/cvat-ai/cvat, cvat/apps/dataset_manager/formats/transformations.py).
"""

from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ..class_table import ClassTable
from ..coco_polygon import coco_polygon
from ..colour_tables import hex_colour
from ..drawing import Patch, Shape, check_reach, labels_of, opencv_ellipse
from ..export import Export, SourceError
from ..fields import is_count
from ..notes import Notes
from ..outlines import turned_box
from ..picture_index import Labelled, PictureIndex
from ..run_lengths import box_mask, whole_numbers
from ..source import Source
from ..splitting import split_of
from ..xml_tree import read_xml

SUMMARY = "CVAT for images 1.1: annotations.xml with polygons, masks, boxes and ellipses"
_AREAS = ("polygon", "mask", "box", "ellipse")
_NO_AREAS = frozenset({"points", "polyline", "skeleton", "cuboid", "tag"})
_HEAD = 4096


class _Picture(NamedTuple):
    """Where an image element is, for messages, and what it is of."""

    element: Element
    what: str
    size: tuple[int, int] | None


def recognise(source: Source) -> str | None:
    """What tells that it is CVAT's."""
    files = _files(source)
    return f"{files[0]} begins with <annotations>" if files else None


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: It is of a video, or not as CVAT's files are, or no picture is there.
    """
    files = _files(source)
    if not files:
        raise SourceError(f"{source.root} has no XML file that begins with <annotations>, as CVAT's do.")
    index, notes, table = PictureIndex(source), Notes(), ClassTable(", ".join(files[:3]))
    roots = {name: read_xml(source.path(name)) for name in files}
    for name, root in roots.items():
        if root.find("track") is not None:
            raise SourceError(
                f"{source.path(name)} is 'CVAT for video': its shapes are of tracks, some between frames. Export the "
                "task as 'CVAT for images 1.1'."
            )
        _read_labels(root, table)
    found: dict[str, Labelled] = {}
    for name, root in roots.items():
        near = PurePosixPath(name).parent.as_posix().removeprefix(".")
        split = split_of(root.findtext(".//meta//subset") or "")
        for element in root.iter("image"):
            stated, subset = element.get("name", ""), element.get("subset", "")
            file = index.find(stated, near, [subset] if subset else [])
            what = f"{stated} of {name}"
            if file is None:
                notes.add("Pictures that are not there, left out", what)
                continue
            if file in found:
                notes.add("Pictures that are named twice, the first of which is taken", what)
                continue
            size = _size(element)
            shapes = _shapes(_Picture(element, what, size), table, notes)
            if not shapes:
                notes.add("Pictures without a shape, taken as background alone", what)
            labels = labels_of(shapes, what, size)
            found[file] = Labelled(labels, name, split_of(subset) or split or split_of(file))
    if spare := [file for file in index.files if file not in found]:
        notes.add("Pictures that no file of labels names, left out", spare[0], len(spare))
    why = f"{files[0]} begins with <annotations>"
    return Export("cvat_xml", why, table.labels(), index.annotated(found), "background", notes.sentences())


def _files(source: Source) -> list[str]:
    """XML files with CVAT's root; Pascal VOC's is <annotation>."""
    return [name for name in source.of_suffix(".xml") if _is_cvat(source, name)]


def _is_cvat(source: Source, name: str) -> bool:
    with source.path(name).open("rb") as file:
        return b"<annotations>" in file.read(_HEAD).replace(b"\0", b"")


def _read_labels(root: Element, table: ClassTable) -> None:
    """The task's labels in its order, but for those that are never areas."""
    for label in root.iterfind("meta//label"):
        if label.findtext("type", "any") not in _NO_AREAS and not label.findtext("parent", "").strip():
            table.add(label.findtext("name", ""), hex_colour(label.findtext("color", "").strip()))


def _size(element: Element) -> tuple[int, int] | None:
    height, width = element.get("height", ""), element.get("width", "")
    return (int(height), int(width)) if is_count(height) and is_count(width) else None


def _shapes(picture: _Picture, table: ClassTable, notes: Notes) -> list[Shape]:
    """The shapes of a picture, the lowest first; shapes of one height in the order of the file."""
    ordered: list[tuple[int, Shape]] = []
    for number, element in enumerate(picture.element, start=1):
        what = f"shape {number} ({element.tag}) of {picture.what}"
        if element.tag not in _AREAS:
            notes.add(f"Shapes that are no areas ({element.tag}), left out", what)
            continue
        name = element.get("label", "")
        if name not in table:
            notes.say(f"The label {name!r} of {what} is not among the task's labels; it is a class after them.")
        pixels = _outline(element, what, picture.size, notes)
        if pixels is not None:
            height = element.get("z_order", "0")
            if not is_count(height.lstrip("-")):
                raise SourceError(f"The z_order of {what} is {height!r}: a whole number was expected.")
            ordered.append((int(height), Shape(table.add(name), pixels)))
    return [shape for _, shape in sorted(ordered, key=lambda pair: pair[0])]


def _outline(element: Element, what: str, size: tuple[int, int] | None, notes: Notes) -> "partial[Patch] | None":
    if element.tag == "mask":
        left, top, width, height = (int(value) for value in _numbers(element, what, "left", "top", "width", "height"))
        runs = whole_numbers(element.get("rle", ""), what)
        return partial(_mask, runs, (top, left, height, width), what)
    if element.tag == "ellipse":
        x, y, wide, high, angle = _numbers(element, what, "cx", "cy", "rx", "ry", "rotation")
        return partial(_ellipse, (x, y), (abs(wide), abs(high)), angle)
    points = _polygon(element, what) if element.tag == "polygon" else _box(element, what)
    if len(points) < 3:
        notes.add("Polygons of fewer than three points, left out", what)
        return None
    if size is not None and ((points < -1).any() or (points > np.array([size[1], size[0]]) + 1).any()):
        notes.add("Shapes that reach out of the picture, cut off at its border", what)
    return partial(coco_polygon, [points])


def _mask(runs: NDArray[np.int64], box: tuple[int, int, int, int], what: str, size: tuple[int, int]) -> Patch:
    return box_mask(runs, box, size, what)


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], angle: float, size: tuple[int, int]) -> Patch:
    return opencv_ellipse(centre, radii, angle, size)


def _polygon(element: Element, what: str) -> NDArray[np.float64]:
    pairs = [point.split(",") for point in element.get("points", "").split(";") if point.strip()]
    try:
        points = np.array(pairs, np.float64).reshape(-1, 2)
    except ValueError as error:
        raise SourceError(
            f"The points of {what} are {element.get('points', '')[:60]!r}: 'x,y;x,y;...' was expected."
        ) from error
    check_reach(points, what)
    return points


def _box(element: Element, what: str) -> NDArray[np.float64]:
    """The corners of a box, turned clockwise around its middle."""
    left, top, right, bottom, angle = _numbers(element, what, "xtl", "ytl", "xbr", "ybr", "rotation")
    return turned_box((left, top, right, bottom), angle)


def _numbers(element: Element, what: str, *keys: str) -> list[float]:
    """Numbers of attributes; a missing rotation is 0."""
    given = [element.get(key, "0" if key == "rotation" else "") for key in keys]
    try:
        values = [float(value) for value in given]
    except ValueError as error:
        said = ", ".join(f"{key}={value!r}" for key, value in zip(keys, given, strict=True))
        raise SourceError(f"The place of {what} is {said[:120]}: numbers were expected.") from error
    check_reach(np.array(values), what)
    return values
