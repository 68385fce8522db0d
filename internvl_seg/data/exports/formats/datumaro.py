"""Datumaro's JSON, as CVAT exports it ("Datumaro 1.0"): ``annotations/SUBSET.json`` beside ``images/SUBSET/``.

As plugins/datumaro_format/converter.py of https://github.com/cvat-ai/datumaro writes it, and that of
https://github.com/openvinotoolkit/datumaro, which has ``media`` for ``image``. Masks are COCO's run lengths; polygons
and boxes are drawn by COCO's own rasteriser and ellipses by OpenCV, as CVAT draws them, in the order of ``z_order``. A
picture without an annotation is background, and so is a pixel without one.
"""

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from ..class_table import ClassTable
from ..coco_polygon import coco_polygon
from ..drawing import Patch, Shape, labels_of, opencv_ellipse, points_of
from ..export import Export, SourceError
from ..fields import as_list, as_mapping, as_name, as_number, as_text, as_whole
from ..notes import Notes
from ..outlines import turned_box
from ..picture_index import Labelled, PictureIndex
from ..run_lengths import coco_mask
from ..source import Source, fitting_json
from ..splitting import split_of

SUMMARY = "Datumaro's JSON (CVAT, Datumaro 1.0): annotations/SUBSET.json beside images/SUBSET/"
_AREAS = ("mask", "polygon", "bbox", "ellipse", "rotated_bbox")


def recognise(source: Source) -> str | None:
    """What tells that it is Datumaro's."""
    name = fitting_json(source, _fits)
    return None if name is None else f"{name} has 'categories' with 'label' and 'items'"


def _fits(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("items"), list):
        return False
    categories = found.get("categories")
    return isinstance(categories, dict) and isinstance(categories.get("label"), dict)


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: It is not as Datumaro's files are, or no picture is there.
    """
    files = [name for name in source.of_suffix(".json") if _fits(source.json(name))]
    if not files:
        raise SourceError(f"{source.root} has no JSON file with 'categories' and 'items', as Datumaro's.")
    index, notes, table = PictureIndex(source), Notes(), ClassTable(", ".join(files[:3]))
    found: dict[str, Labelled] = {}
    for name in files:
        content = source.json(name)
        places = _classes(content["categories"], name, table)
        subset = PurePosixPath(name).stem
        for number, value in enumerate(content["items"]):
            item = as_mapping(value, f"item {number} of {name}")
            stated, what = _picture(item, number, name)
            near = PurePosixPath(name).parent.parent / "images" / subset
            file = index.find((near / stated).as_posix(), near.as_posix(), [subset])
            if file is None:
                notes.add("Pictures that are not there, left out", what)
                continue
            if file in found:
                notes.add("Pictures that are named twice, the first of which is taken", what)
                continue
            shapes = _shapes(item, places, what, notes)
            if not shapes:
                notes.add("Pictures without an area, taken as background alone", what)
            found[file] = Labelled(labels_of(shapes, what, _size(item)), name, split_of(subset) or split_of(file))
    if spare := [file for file in index.files if file not in found]:
        notes.add("Pictures that no file of labels names, left out", spare[0], len(spare))
    why = recognise(source) or "--format datumaro"
    return Export("datumaro", why, table.labels(), index.annotated(found), "background", notes.sentences())


def _classes(categories: dict[str, Any], name: str, table: ClassTable) -> dict[int, int]:
    """The places of the classes by their ids, which are their numbers in the list."""
    colours: dict[Any, tuple[int, int, int]] = {}
    for value in as_mapping(categories.get("mask") or {}, f"'mask' of {name}").get("colormap") or []:
        given = as_mapping(value, f"a colour of {name}")
        channels = [as_whole(given.get(key), f"{key!r} of a colour of {name}") for key in "rgb"]
        if max(channels) <= 255:
            colours[given.get("label_id")] = (channels[0], channels[1], channels[2])
    labels = as_list(categories["label"].get("labels"), f"'labels' of {name}")
    named = [
        as_name(as_mapping(one, f"a label of {name}").get("name"), f"the name of a label of {name}") for one in labels
    ]
    return {number: table.add(label, colours.get(number)) for number, label in enumerate(named)}


def _picture(item: dict[str, Any], number: int, name: str) -> tuple[str, str]:
    """The path of an item's picture in its subset, and what it is called in messages."""
    what = f"item {number} of {name}"
    media = item.get("image", item.get("media"))
    stated = media.get("path") if isinstance(media, dict) else None
    path = as_text(stated or item.get("id"), f"the picture of {what}")
    return path, f"{path} of {name}"


def _size(item: dict[str, Any]) -> tuple[int, int] | None:
    media = item.get("image", item.get("media"))
    size = media.get("size") if isinstance(media, dict) else None
    if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
        return size[0], size[1]
    return None


def _shapes(item: dict[str, Any], places: dict[int, int], picture: str, notes: Notes) -> list[Shape]:
    """The areas of an item, the lowest first; those of one height in the order of the file."""
    ordered: list[tuple[float, Shape]] = []
    for number, value in enumerate(as_list(item.get("annotations") or [], f"the annotations of {picture}"), start=1):
        what = f"annotation {number} of {picture}"
        given = as_mapping(value, what)
        kind = given.get("type")
        if kind not in _AREAS:
            notes.add(f"Annotations that are no areas ({str(kind)[:40]}), left out", what)
            continue
        label = given.get("label_id")
        if label is None:
            notes.add("Areas without a label, left out", what)
            continue
        if label not in places:
            raise SourceError(f"The label_id of {what} is {str(label)[:40]}, but there are {len(places)} labels.")
        pixels = _pixels(kind, given, what, notes)
        if pixels is not None:
            ordered.append((as_number(given.get("z_order") or 0, f"'z_order' of {what}"), Shape(places[label], pixels)))
    return [shape for _, shape in sorted(ordered, key=lambda pair: pair[0])]


def _pixels(kind: str, given: dict[str, Any], what: str, notes: Notes) -> Callable[[tuple[int, int]], Patch] | None:
    if kind == "mask":
        return partial(_mask, as_mapping(given.get("rle"), f"'rle' of {what}"), what)
    if kind == "rotated_bbox":
        raise SourceError(f"{what} is a rotated_bbox: draw it as a polygon, or export as COCO or CVAT for images.")
    if kind == "ellipse":
        points = points_of(given.get("points"), what)
        if len(points) != 2:
            raise SourceError(f"The ellipse of {what} has {len(points)} points, and two corners were expected.")
        (left, top), (right, bottom) = points.tolist()
        turn = _turn(given, what)
        return partial(
            _ellipse, ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2), turn
        )
    if kind == "bbox":
        numbers = as_list(given.get("bbox"), f"'bbox' of {what}")
        if len(numbers) != 4:
            raise SourceError(f"The box of {what} has {len(numbers)} numbers, and 4 were expected.")
        left, top, width, height = (as_number(one, f"'bbox' of {what}") for one in numbers)
        outline = turned_box((left, top, left + width, top + height), _turn(given, what))
    else:
        outline = points_of(given.get("points"), what)
    if len(outline) < 3:
        notes.add("Polygons of fewer than three points, left out", what)
        return None
    return partial(coco_polygon, [outline])


def _turn(given: dict[str, Any], what: str) -> float:
    """Degrees by which a box is turned about its middle; CVAT writes them as an attribute."""
    attributes = as_mapping(given.get("attributes") or {}, f"'attributes' of {what}")
    return as_number(attributes.get("rotation") or 0, f"'rotation' of {what}")


def _mask(stored: dict[str, Any], what: str, size: tuple[int, int]) -> Patch:
    return Patch(0, 0, coco_mask(stored, size, what))


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], angle: float, size: tuple[int, int]) -> Patch:
    return opencv_ellipse(centre, radii, angle, size)
