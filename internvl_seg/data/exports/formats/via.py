"""VGG Image Annotator's projects, JSON exports and tables, of its versions 1 to 3; the pictures lie elsewhere.

The layout is that which via.js writes (https://gitlab.com/vgg/via); what version 3 and tables have is brought into that
of version 2 by :mod:`~..via_projects` and :mod:`~..via_tables`. It draws no masks; its COCO export, whose polygons
COCO's own rasteriser draws, has circles and ellipses as polygons with a point every 5 degrees, and so have they here,
ellipses turned as they are. Pictures without a region count as not labelled: a project lists all that were added. A
pixel without a region in others is background.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..class_table import given_classes
from ..coco_polygon import coco_polygon
from ..drawing import Patch, Shape, check_reach, labels_of, points_of
from ..export import Annotated, ClassLabel, Export, SourceError
from ..fields import as_list, as_mapping, as_number, as_text, first_upper
from ..find_pictures import by_size
from ..inline_images import base64_bytes
from ..named_pictures import NamedPictures
from ..notes import Notes
from ..outlines import box_outline, ellipse_outline
from ..picture_index import PictureIndex
from ..source import Source, fitting_json
from ..via_classes import Region, Regions, classes_of
from ..via_projects import files_of_project, is_project
from ..via_tables import files_of_table, via_tables

SUMMARY = "VGG Image Annotator 1 to 3: project, JSON or CSV export; the pictures by --images FOLDER"
_NAME = "via"
# VIA's COCO export rounds to as many decimals.
_DECIMALS = 3


def recognise(source: Source) -> str | None:
    """What tells that files are VGG Image Annotator's."""
    name = fitting_json(source, _fits)
    if name is None:
        tables = via_tables(source)
        return f"{tables[0]} has the columns of its table" if tables else None
    if is_project(source.json(name)):
        return f"{name} has 'attribute', 'file', 'view' and 'metadata', as projects of version 3"
    project = "_via_img_metadata" in source.json(name)
    return f"{name} has {repr('_via_img_metadata') if project else 'files with regions and their sizes in bytes'}"


def _fits(found: Any) -> bool:
    if not isinstance(found, dict) or not found:
        return False
    if isinstance(found.get("_via_img_metadata"), dict) or is_project(found):
        return True
    first = next(iter(found.values()))
    return isinstance(first, dict) and {"filename", "size", "regions"} <= first.keys()


class _File(NamedTuple):
    """A picture as a JSON file has it."""

    named: str
    bytes_: int | None
    inside: Any
    regions: list[Region]
    where: str


def read(source: Source) -> Export:
    """Read an export.

    Raises:
        SourceError: It is damaged, it cannot be told which attribute is the class, or its pictures are not there.
    """
    notes = Notes()
    files: list[_File] = []
    attributes: dict[str, Any] = {}
    for name in source.of_suffix(".json"):
        content = source.json(name)
        if not _fits(content):
            notes.add("JSON files that are not VGG Image Annotator's are left out", name)
            continue
        files += _files(_entries(content, name, attributes, notes), name, notes)
    of_json = bool(files)
    for name in via_tables(source):
        if of_json:
            notes.add("Tables beside JSON files, which hold the same, are left out", name)
            continue
        found_in = files_of_table(source, name, notes)
        attributes |= found_in.attributes
        files += _files(found_in.entries, name, notes)
    regions = [region for file in files for region in file.regions]
    labels, names = classes_of(Regions(regions, attributes), [label.name for label in given_classes(source)], notes)
    place = {label: i for i, label in enumerate(names)}
    pictures = PictureIndex(source)
    same_size = by_size(pictures)
    named_pictures = NamedPictures(pictures, notes)
    at = 0
    for file in files:
        mine = [
            Shape(place[label], region.pixels)
            for label, region in zip(labels[at : at + len(file.regions)], file.regions, strict=True)
            if label is not None
        ]
        at += len(file.regions)
        if not file.regions:
            notes.add("Pictures without a region count as not labelled", file.where)
        path, picture = _picture(file, pictures, same_size)
        if picture is None:
            named_pictures.add_missing(file.named, file.where)
            continue
        drawer = labels_of(mine, file.where) if file.regions else None
        named_pictures.add(path, Annotated(picture, path, drawer, source=file.where))
    return named_pictures.export(_NAME, recognise(source), source, [ClassLabel(name) for name in names])


def _entries(content: dict[str, Any], name: str, attributes: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The pictures of a JSON file; adds what it says of the attributes of regions to others."""
    if is_project(content):
        found = files_of_project(content, name, notes)
        attributes |= found.attributes
        return found.entries
    attributes |= _attributes(content, name)
    entries: dict[str, Any] = content.get("_via_img_metadata", content)
    return entries


def _files(entries: dict[str, Any], name: str, notes: Notes) -> list[_File]:
    return [_file(as_mapping(entry, f"{key!r} of {name}"), name, notes) for key, entry in entries.items()]


def _attributes(content: dict[str, Any], name: str) -> dict[str, Any]:
    """What a project says of the attributes of regions."""
    if "_via_img_metadata" not in content:
        return {}
    given = as_mapping(content.get("_via_attributes") or {}, f"'_via_attributes' of {name}")
    return as_mapping(given.get("region") or {}, f"'region' in '_via_attributes' of {name}")


def _file(entry: dict[str, Any], name: str, notes: Notes) -> _File:
    named = as_text(entry.get("filename"), f"a 'filename' of {name}")
    where = f"{named} in {name}"
    size = entry.get("size")
    regions = entry.get("regions")
    # Version 1 has a mapping of numbers.
    values = list(regions.values()) if isinstance(regions, dict) else as_list(regions, f"'regions' of {where}")
    found = []
    for number, value in enumerate(values, start=1):
        what = f"region {number} of {where}"
        region = as_mapping(value, what)
        shape = as_mapping(region.get("shape_attributes"), f"'shape_attributes' of {what}")
        given = as_mapping(region.get("region_attributes") or {}, f"'region_attributes' of {what}")
        if (pixels := _pixels(shape, what, notes)) is not None:
            found.append(Region(given, pixels, what))
    return _File(
        named, size if isinstance(size, int) and size >= 0 else None, entry.get("base64_img_data"), found, where
    )


def _picture(file: _File, pictures: PictureIndex, same_size: Callable[[str, int], str | None]) -> tuple[str, Any]:
    """Pictures in several folders may have one name: their sizes in bytes tell them apart."""
    same = None if file.bytes_ is None else same_size(file.named, file.bytes_)
    path = same if same is not None else pictures.find(file.named)
    if path is not None:
        return path, pictures.path(path)
    if file.inside:
        return file.named.replace("\\", "/").rpartition("/")[2], base64_bytes(
            file.inside, f"'base64_img_data' of {file.where}"
        )
    return "", None


def _pixels(shape: dict[str, Any], what: str, notes: Notes) -> Callable[[tuple[int, int]], Patch] | None:
    kind = shape.get("name")
    if kind in ("point", "polyline", "line"):
        notes.add("Points and lines are no areas and are left out", what)
        return None
    points = _outline(kind, shape, what).round(_DECIMALS)
    check_reach(points, what)
    if len(points) < 3 or not (np.ptp(points, axis=0) > 0).all():
        notes.add("Regions of no extent are left out", what)
        return None
    if (points.max(0) <= 0).any():
        notes.add("Regions outside of the picture are left out", what)
        return None
    return lambda size: coco_polygon([points], size)


def _outline(kind: Any, shape: dict[str, Any], what: str) -> NDArray[np.float64]:
    def number(name: str) -> float:
        return as_number(shape.get(name), f"{name!r} of {what}")

    if kind == "polygon":
        x, y = (as_list(shape.get(f"all_points_{axis}"), f"'all_points_{axis}' of {what}") for axis in "xy")
        if len(x) != len(y):
            raise SourceError(f"{first_upper(what)} has {len(x)} x but {len(y)} y. Draw it again.")
        return points_of([[a, b] for a, b in zip(x, y, strict=True)], what)
    if kind == "rect":
        return box_outline(number("x"), number("y"), number("width"), number("height"))
    if kind == "circle":
        return ellipse_outline((number("cx"), number("cy")), (number("r"), number("r")))
    if kind == "ellipse":
        angle = as_number(shape.get("theta") or 0, f"'theta' of {what}")
        return ellipse_outline((number("cx"), number("cy")), (number("rx"), number("ry")), angle)
    raise SourceError(
        f"{first_upper(what)} has the shape {str(kind)[:60]!r}: polygon, rect, circle, ellipse, polyline or "
        "point were expected. Delete it, and export again."
    )
