"""Supervisely's projects: ``meta.json`` and a folder for each data set, with ``ann/x.jpg.json`` for ``img/x.jpg``.

The layout is that of its documentation (https://docs.supervisely.com, Supervisely annotation format), and figures are
drawn as its SDK's ``geometry`` draws them: fractions of pixels are cut off, polygons and their holes by OpenCV, of
bitmaps and alpha masks what is not transparent, boxes with all of their edges, later ones on top. Lines and points are
left out. A picture without an object is background: an annotation is there for each picture. So is a pixel without an
object.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ..drawing import Patch, Shape, check_reach, draw, opencv_polygon, points_of
from ..export import Annotated, ClassLabel, Drawn, Export, Labels, SourceError, whole_map
from ..fields import (
    as_colour,
    as_list,
    as_mapping,
    as_name,
    as_number,
    as_size,
    as_whole,
    check_size,
    first_upper,
)
from ..inline_images import base64_bytes, inflate, png_mask
from ..named_pictures import NamedPictures
from ..notes import Notes
from ..picture_index import PictureIndex
from ..source import Source, read_json

SUMMARY = "Supervisely: a project, meta.json and folders with ann/ and img/"
_NAME = "supervisely"
_META = "meta.json"
# A zlib stream's first byte; a PNG's is 0x89.
_ZLIB = 0x78
_AREAS = frozenset({"bitmap", "alpha_mask", "polygon", "rectangle", "multipolygon", "oriented_bbox", "any"})


def recognise(source: Source) -> str | None:
    """What tells that a folder is Supervisely's."""
    metas = _metas(source)
    annotations = _annotations(source)
    if not metas or not annotations:
        return None
    try:
        meta = source.json(metas[0])
    except SourceError:
        return None
    if not isinstance(meta, dict) or not isinstance(meta.get("classes"), list):
        return None
    return f"{metas[0]} has 'classes' and {annotations[0]} is in a folder 'ann'"


def _metas(source: Source) -> list[str]:
    return [name for name in source.files if PurePosixPath(name).name == _META]


def _annotations(source: Source) -> list[str]:
    return [name for name in source.of_suffix(".json") if PurePosixPath(name).parent.name == "ann"]


def read(source: Source) -> Export:
    """Read a project.

    Raises:
        SourceError: It is damaged, or its pictures are not there.
    """
    notes = Notes()
    metas = _metas(source)
    if not metas:
        raise SourceError(f"{source.folder} has no {_META}, which holds the classes. Export the whole project.")
    classes: list[ClassLabel] = []
    for name in metas:
        classes += [label for label in _classes(source, name, notes) if label not in classes]
    if len({label.name for label in classes}) < len(classes):
        raise SourceError(
            f"{metas[0]} and {metas[1] if metas[1:] else 'itself'} differ in a class. Convert one project."
        )
    place = {label.name: i for i, label in enumerate(classes)}
    pictures = PictureIndex(source)
    files = set(pictures.files)
    used: dict[str, str] = {}
    named_pictures = NamedPictures(pictures, notes)
    for file in _annotations(source):
        content = as_mapping(read_json(source.path(file)), file)
        shapes = list(_shapes(content, file, place, notes))
        if not shapes:
            notes.add("Pictures without an object are background", file)
        named = PurePosixPath(file).name.removesuffix(".json")
        folder = PurePosixPath(file).parent.parent
        path = (folder / "img" / named).as_posix()
        if path not in files:
            # Data sets may have pictures of one name: only in another folder it is looked for.
            near = pictures.find(f"{folder}/{named}") if source.images is not None else None
            path = "" if near is None else near
        if not path:
            named_pictures.add_missing(named, f"{file}, {named}")
            continue
        if path in used:
            raise SourceError(
                f"{used[path]} and {file} are both for the picture {path}. Name the folder of the project."
            )
        used[path] = file
        # The folder that its pictures are in is no part of their names.
        name = (folder / named).as_posix()
        labels = _labels(source, file, place)
        named_pictures.add(name, Annotated(pictures.path(path), name, labels, source=file))
    return named_pictures.export(_NAME, recognise(source), source, classes)


def _classes(source: Source, name: str, notes: Notes) -> Iterator[ClassLabel]:
    """The classes of areas that a project has."""
    meta = as_mapping(source.json(name), name)
    for value in as_list(meta.get("classes"), f"'classes' of {name}"):
        given = as_mapping(value, f"a class of {name}")
        title = as_name(given.get("title"), f"'title' of a class of {name}")
        if str(given.get("shape") or "any") not in _AREAS:
            notes.add("Classes of figures that are no areas are left out", f"{name}, {title!r}")
            continue
        yield ClassLabel(title, as_colour(given.get("color")))


def _labels(source: Source, file: str, place: dict[str, int]) -> Labels:
    def whole(size: tuple[int, int]) -> Drawn:
        content = as_mapping(read_json(source.path(file)), file)
        check_size(_size_of(content, file), size, f"The objects in {file}")
        return draw(size, list(_shapes(content, file, place, Notes())))

    return whole_map(whole)


def _size_of(content: dict[str, Any], file: str) -> tuple[int, int]:
    size = as_mapping(content.get("size"), f"'size' of {file}")
    return as_size(size.get("width"), size.get("height"), f"the picture of {file}")


def _shapes(content: dict[str, Any], file: str, place: dict[str, int], notes: Notes) -> Iterator[Shape]:
    height, width = _size_of(content, file)
    for number, value in enumerate(as_list(content.get("objects"), f"'objects' of {file}"), start=1):
        what = f"object {number} of {file}"
        given = as_mapping(value, what)
        title = as_name(given.get("classTitle"), f"'classTitle' of {what}")
        kind = given.get("geometryType", given.get("shape"))
        if not isinstance(kind, str) or kind not in _AREAS - {"any"}:
            notes.add(f"Objects of type {kind!r} are no areas and are left out", what)
            continue
        if title not in place:
            raise SourceError(
                f"{first_upper(what)} is of class {title!r}, which {_META} does not have among those of areas. "
                "Export the whole project again."
            )
        if kind in ("bitmap", "alpha_mask"):
            if kind == "alpha_mask":
                notes.add("Alpha masks count where they are not wholly transparent", what)
            bitmap = as_mapping(given.get("bitmap", given.get(kind)), f"'bitmap' of {what}")
            # Bound by the variable of this round of the loop.
            yield Shape(place[title], lambda size, bitmap=bitmap, what=what: _bitmap(bitmap, size, what))  # type: ignore[misc]
            continue
        parts = _parts(given, kind, what)
        corners = np.concatenate([exterior for exterior, _ in parts])
        check_reach(corners, what)
        if any(len(exterior) < 3 for exterior, _ in parts):
            notes.add("Polygons with fewer than 3 points are left out", what)
            continue
        if (corners.max(0) < 0).any() or (corners.min(0) > (width, height)).any():
            notes.add("Objects outside of the picture are left out", what)
            continue
        yield Shape(place[title], lambda size, parts=parts: _polygons(parts, size))  # type: ignore[misc]


def _parts(given: dict[str, Any], kind: str, what: str) -> list[tuple[Any, list[Any]]]:
    """Polygons and the holes of each."""
    if kind == "multipolygon":
        pieces = [as_mapping(part, f"a part of {what}") for part in as_list(given.get("parts"), f"'parts' of {what}")]
    elif kind == "oriented_bbox":
        pieces = [{"exterior": given.get("points")}]
    else:
        pieces = [as_mapping(given.get("points"), f"'points' of {what}")]
    parts = []
    for piece in pieces:
        exterior = np.floor(points_of(piece.get("exterior"), what))
        holes = as_list(piece.get("interior") or [], f"'interior' of {what}")
        cut = [np.floor(points_of(hole, what)) for hole in holes]
        parts.append((exterior, [hole for hole in cut if len(hole)]))
    if not parts:
        raise SourceError(f"{first_upper(what)} has no parts. Export it again.")
    if kind in ("rectangle", "oriented_bbox"):
        parts = [(_box(parts[0][0], kind, given, what), [])]
    return parts


def _box(points: Any, kind: str, given: dict[str, Any], what: str) -> Any:
    """The corners of a box from two of them, turned about its middle as the SDK does."""
    if len(points) != 2:
        raise SourceError(f"{first_upper(what)} has {len(points)} points, but a box has 2. Export it again.")
    (left, top), (right, bottom) = points.min(0), points.max(0)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == "rectangle":
        return corners
    angle = as_number(given.get("angle") or 0, f"'angle' of {what}")
    centre = np.floor([(left + right) / 2, (top + bottom) / 2])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.floor((corners - centre) @ turn + centre)


def _polygons(parts: list[tuple[Any, list[Any]]], size: tuple[int, int]) -> Patch:
    if len(parts) == 1:
        return opencv_polygon(parts[0][0], size, parts[0][1])
    mask = np.zeros(size, np.bool_)
    for exterior, holes in parts:
        top, left, part = opencv_polygon(exterior, size, holes)
        mask[top : top + part.shape[0], left : left + part.shape[1]] |= part
    return Patch(0, 0, mask)


def _bitmap(bitmap: dict[str, Any], size: tuple[int, int], what: str) -> Patch:
    """A PNG, mostly packed by zlib, whose upper left corner is at the origin."""
    name = f"the bitmap of {what}"
    origin = as_list(bitmap.get("origin"), f"the origin of {name}")
    if len(origin) != 2:
        raise SourceError(f"The origin of {name} has {len(origin)} numbers: x and y were expected. Export it again.")
    left, top = (as_whole(value, f"the origin of {name}") for value in origin)
    data = base64_bytes(bitmap.get("data"), f"The {name[4:]}")
    if data[:1] == bytes([_ZLIB]):
        data = inflate(data, size, f"The {name[4:]}")
    return Patch(top, left, png_mask(data, size, f"The {name[4:]}", exact=False))
