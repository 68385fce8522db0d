"""labelme's JSON files, one for each picture, which lies beside it or inside it.

The layout is that which labelme (https://github.com/wkentaro/labelme, labelme/_label_file.py) writes, and shapes are
drawn as its ``utils/shape.py`` draws them for its own exports: later ones are on top, lines are 10 pixels wide and
points have a radius of 5. A shape called ``__ignore__`` is ignored, as in its ``labelme2voc.py``. A pixel without a
shape is background.
"""

import posixpath
from collections.abc import Callable, Iterator, Set
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from ..drawing import (
    Patch,
    Shape,
    check_reach,
    draw,
    pillow_box,
    pillow_circle,
    pillow_ellipse,
    pillow_line,
    pillow_polygon,
    points_of,
)
from ..export import IGNORED, Annotated, ClassLabel, Drawn, Export, Labels, SourceError, whole_map
from ..fields import as_list, as_mapping, as_name, as_size, as_text, check_size, first_upper
from ..inline_images import base64_bytes, png_mask
from ..named_pictures import NamedPictures
from ..notes import Notes
from ..picture_index import PictureIndex
from ..source import Source, fitting_json, read_json

SUMMARY = "labelme: a JSON file for each picture"
_NAME = "labelme"
_IGNORED = "__ignore__"
_LINE_WIDTH = 10
_POINT_RADIUS = 5
# Bytes of pictures inside JSON files that are kept at a time.
_MOST_INSIDE = 4 << 30
# How many points a shape has: at least, and at most.
_POINTS = {
    "polygon": (3, None),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, None),
    "point": (1, 1),
    "mask": (2, 2),
}


class _Area(NamedTuple):
    label: str
    pixels: Callable[[tuple[int, int]], Patch]


def recognise(source: Source) -> str | None:
    """What tells that files are labelme's."""
    name = fitting_json(source, _fits)
    return None if name is None else f"{name} has 'shapes' and 'imagePath'"


def _fits(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("shapes"), list) and "imagePath" in found


def read(source: Source) -> Export:
    """Read an export.

    Raises:
        SourceError: It is damaged, or its pictures are not there.
    """
    notes = Notes()
    pictures = PictureIndex(source)
    files = set(pictures.files)
    labels: set[str] = set()
    named_pictures = NamedPictures(pictures, notes)
    inside = 0
    place: dict[str, int] = {}
    for file in source.of_suffix(".json"):
        content = read_json(source.path(file))
        if not _fits(content):
            notes.add("JSON files that are not labelme's are left out", file)
            continue
        labels |= {area.label for area in _areas(content, file, notes)}
        named = as_text(content["imagePath"], f"'imagePath' of {file}")
        path = _find(pictures, files, named, file)
        picture: Any = None if path is None else pictures.path(path)
        if path is None and content.get("imageData") is not None:
            picture = base64_bytes(content["imageData"], f"'imageData' of {file}")
            path = PurePosixPath(file).with_suffix("").as_posix()
            inside += len(picture)
            if inside > _MOST_INSIDE:
                raise SourceError(
                    f"The pictures in the JSON files have more than {_MOST_INSIDE >> 30} GiB, which would fill the "
                    "memory. Put the pictures beside the JSON files, as they were when they were labelled."
                )
        if path is None:
            named_pictures.add_missing(named, f"{file}, {named}")
            continue
        named_pictures.add(path, Annotated(picture, path, _labels(source, file, place), source=file))
    named_pictures.refuse_none()
    for name in sorted(files - {path for path, _ in named_pictures.found}):
        named_pictures.add(name, Annotated(pictures.path(name), name, None))
    names = sorted(labels - {_IGNORED})
    place |= {label: i for i, label in enumerate(names)} | {_IGNORED: IGNORED}
    return named_pictures.export(_NAME, recognise(source), source, [ClassLabel(label) for label in names])


def _find(pictures: PictureIndex, files: Set[str], named: str, file: str) -> str | None:
    """The picture that a file names, mostly one beside it."""
    folder = PurePosixPath(file).parent.as_posix()
    beside = posixpath.normpath(posixpath.join(folder, named.replace("\\", "/")))
    return beside if beside in files else pictures.find(named, near="" if folder == "." else folder)


def _labels(source: Source, file: str, place: dict[str, int]) -> Labels:
    """Draws what a file holds, which is read anew: thousands of them, with pictures inside, are not kept."""

    def whole(size: tuple[int, int]) -> Drawn:
        content = as_mapping(read_json(source.path(file)), file)
        stored = content.get("imageWidth"), content.get("imageHeight")
        if None not in stored:
            check_size(as_size(*stored, f"the picture of {file}"), size, f"The shapes in {file}")
        areas = list(_areas(content, file, Notes()))
        if new := [area.label for area in areas if area.label not in place]:
            raise SourceError(
                f"{file} has {new[0]!r}, which was not there before. Leave the files alone, and try again."
            )
        return draw(size, [Shape(place[area.label], area.pixels) for area in areas])

    return whole_map(whole)


def _areas(content: dict[str, Any], file: str, notes: Notes) -> Iterator[_Area]:
    """The shapes that can be drawn, in their order."""
    stored = content.get("imageWidth"), content.get("imageHeight")
    size = None if None in stored else as_size(*stored, f"the picture of {file}")
    for number, value in enumerate(as_list(content.get("shapes"), f"'shapes' of {file}"), start=1):
        what = f"shape {number} of {file}"
        shape = as_mapping(value, what)
        label = as_name(shape.get("label"), f"'label' of {what}")
        kind = shape.get("shape_type") or "polygon"
        if not isinstance(kind, str) or kind not in _POINTS:
            notes.add(f"Shapes of type {kind!r} are left out", what)
            continue
        points = points_of(shape.get("points"), what)
        least, most = _POINTS[kind]
        if len(points) < least:
            notes.add(f"Shapes of type {kind!r} with fewer than {least} points are left out", what)
            continue
        if most is not None and len(points) > most:
            raise SourceError(
                f"{first_upper(what)} is of type {kind!r} and has {len(points)} points: {most} were expected."
            )
        margin: float = {"line": _LINE_WIDTH, "linestrip": _LINE_WIDTH, "point": _POINT_RADIUS}.get(kind, 0)
        if kind == "circle":
            margin = float(np.hypot(*(points[1] - points[0])))
            check_reach(points + margin, what)
        if size is not None and ((points.max(0) + margin < 0).any() or (points.min(0) - margin > size[::-1]).any()):
            notes.add("Shapes outside of the picture are left out", what)
            continue
        if kind in ("line", "linestrip", "point"):
            notes.add(
                f"Lines are drawn {_LINE_WIDTH} pixels wide, points with a radius of {_POINT_RADIUS}, as labelme does",
                what,
            )
        yield _Area(label, _pixels(kind, points, shape, what))


def _pixels(kind: str, points: Any, shape: dict[str, Any], what: str) -> Callable[[tuple[int, int]], Patch]:
    if kind == "mask":
        return lambda size: _mask(points, shape.get("mask"), size, what)
    if kind == "circle":
        return lambda size: pillow_circle(points[0].tolist(), points[1].tolist(), size)
    if kind == "rectangle":
        return lambda size: pillow_box(points, size)
    if kind in ("line", "linestrip"):
        return lambda size: pillow_line(points, _LINE_WIDTH, size)
    if kind == "point":
        around = np.concatenate([points - _POINT_RADIUS, points + _POINT_RADIUS])
        return lambda size: pillow_ellipse(around, size)
    return lambda size: pillow_polygon(points, size)


def _mask(points: Any, mask: Any, size: tuple[int, int], what: str) -> Patch:
    """A PNG in a box, both of whose corners belong to it."""
    (left, top), (right, bottom) = points.astype(np.int64).tolist()
    box = (bottom - top + 1, right - left + 1)
    if min(box) < 1 or box[0] > size[0] or box[1] > size[1]:
        raise SourceError(
            f"The box of the mask of {what} goes from {left}, {top} to {right}, {bottom}; the picture has {size[1]} x "
            f"{size[0]} pixels. Draw it again."
        )
    name = f"The mask of {what}"
    return Patch(top, left, png_mask(base64_bytes(mask, name), box, name, exact=True))
