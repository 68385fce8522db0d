"""Label Studio's JSON and JSON-MIN, whose pictures lie elsewhere.

The layouts are those that Label Studio's documentation (https://labelstud.io/guide/export) and its SDK's
``converter/converter.py`` describe. Polygons and rectangles are drawn as its COCO export has them drawn, by COCO's own
rasteriser, rectangles turned in pixels about their upper left corner, as the editor draws them; ellipses, which it
exports to no format of masks, as polygons of 360 points; of brush masks and bitmasks, which are PNGs in the JSON
(BitmaskRegion.jsx of its editor), the pixels that are not transparent count. A pixel without a label is background.
"""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..brush_runs import brush_alpha
from ..coco_polygon import coco_polygon
from ..drawing import Patch, Shape, check_reach, labels_of, points_of
from ..export import Annotated, ClassLabel, Export, Labels, SourceError
from ..fields import as_list, as_mapping, as_name, as_number, as_size, check_size
from ..find_pictures import by_stored_name, uploaded_names
from ..inline_images import base64_bytes, png_mask
from ..label_studio_tasks import Labelled, Task, annotation_of, is_full, is_min, pictures_of, tasks_of
from ..named_pictures import NamedPictures
from ..notes import Notes
from ..outlines import box_outline, ellipse_outline
from ..picture_index import PictureIndex, is_picture
from ..source import Source, fitting_json

SUMMARY = "Label Studio: JSON or JSON-MIN; the pictures by --images FOLDER"
_NAME = "label_studio"


class _Region(NamedTuple):
    label: str
    pixels: Callable[[tuple[int, int]], Patch]


def recognise(source: Source) -> str | None:
    """What tells that files are Label Studio's."""
    name = fitting_json(source, lambda found: is_full(found) or is_min(found))
    if name is None:
        return None
    if is_min(source.json(name)):
        return f"{name} has records with 'annotation_id', 'annotator' and 'lead_time' (JSON-MIN)"
    return f"{name} has tasks with 'data' and 'annotations'"


def read(source: Source) -> Export:
    """Read an export.

    Raises:
        SourceError: It is damaged, or its pictures are not there.
    """
    notes = Notes()
    pictures = PictureIndex(source)
    find = _finder(pictures)
    found: dict[str, tuple[Task, list[_Region] | None]] = {}
    named_pictures = NamedPictures(pictures, notes)
    for file in source.of_suffix(".json"):
        content = source.json(file)
        if not (is_full(content) or is_min(content)):
            notes.add("JSON files that are no exports of Label Studio are left out", file)
            continue
        for task in tasks_of(content, file, notes):
            for picture in _pictures(task, notes):
                path = find(picture.address)
                if path is None:
                    named_pictures.add_missing(picture.address, f"{task.where}, {picture.address}")
                    continue
                regions = _regions(picture.results, task, notes)
                if path in found and regions is not None and found[path][1] is not None:
                    raise SourceError(
                        f"{task.where} and {found[path][0].where} are both for the picture {path}. Delete one of them."
                    )
                if path not in found or regions is not None:
                    found[path] = (task, regions)
    labels = sorted({region.label for _, regions in found.values() for region in regions or ()})
    place = {label: i for i, label in enumerate(labels)}
    for path, (task, regions) in found.items():
        drawer = _labels(regions, place, task.where)
        named_pictures.add(path, Annotated(pictures.path(path), path, drawer, source=task.where))
    return named_pictures.export(_NAME, recognise(source), source, [ClassLabel(label) for label in labels])


def _pictures(task: Task, notes: Notes) -> list[Labelled]:
    annotation = annotation_of(task, notes)
    found = pictures_of(task, annotation)
    if not found:
        notes.add("Tasks without a picture are left out", task.where)
    if annotation is None:
        notes.add("Tasks that nobody has labelled", task.where)
    kept = []
    for picture in found:
        if any(result.get("image_rotation") for result in picture.results or ()):
            notes.add("Pictures that were turned while they were labelled are left out", task.where)
        else:
            kept.append(picture)
    return kept


def _finder(pictures: PictureIndex) -> Callable[[str], str | None]:
    by_stored = by_stored_name(pictures)

    def find(address: str) -> str | None:
        names = [name for name in uploaded_names(address) if is_picture(name)]
        for name in names:
            if (found := pictures.find(name)) is not None:
                return found
        # Names as they were before they were uploaded.
        return by_stored(PurePosixPath(name).name for name in names)

    return find


def _labels(regions: list[_Region] | None, place: dict[str, int], what: str) -> Labels | None:
    if regions is None:
        return None
    return labels_of([Shape(place[region.label], region.pixels) for region in regions], what)


def _regions(results: list[dict[str, Any]] | None, task: Task, notes: Notes) -> list[_Region] | None:
    """The areas of an annotation, in the order in which they were drawn."""
    if results is None:
        return None
    areas: dict[str, dict[str, Any]] = {}
    labels: dict[str, list[Any]] = {}
    for result in results:
        value = result.get("value")
        if not isinstance(value, dict) or not _is_area(value):
            notes.add(f"Results of type {result.get('type')!r} are no areas and are left out", task.where)
            continue
        # A shape and its label may be two results with one id; JSON-MIN has no ids.
        kinds = [part for part in _GEOMETRY if part in value]
        key = f"{result['id']} {kinds}" if result.get("id") else str([value[part] for part in kinds])
        areas.setdefault(key, result)
        labels.setdefault(key, [])
        labels[key] += _labels_of(value, task)
    regions = []
    for key, result in areas.items():
        what = f"result {result['id']} of {task.where}" if result.get("id") else f"a result of {task.where}"
        if not labels[key]:
            notes.add("Areas without a label are left out", what)
            continue
        if len(labels[key]) > 1:
            notes.add("Areas with several labels, of which the first counts", what)
        if (pixels := _pixels(result, what, notes)) is not None:
            regions.append(_Region(labels[key][0], pixels))
    return regions


_GEOMETRY = ("points", "rle", "imageDataURL", "x", "y", "width", "height", "radiusX", "radiusY", "rotation")


def _is_area(value: dict[str, Any]) -> bool:
    brushed = "rle" in value or "imageDataURL" in value
    return brushed or "points" in value or "radiusX" in value or {"x", "y", "width", "height"} <= value.keys()


def _labels_of(value: dict[str, Any], task: Task) -> list[str]:
    found: list[str] = []
    for key, names in value.items():
        if key.endswith("labels"):
            for name in as_list(names, f"{key!r} of a result of {task.where}"):
                text = as_name(name, f"a name in {key!r} of {task.where}")
                found += [text] if text not in found else []
    return found


def _pixels(result: dict[str, Any], what: str, notes: Notes) -> Callable[[tuple[int, int]], Patch] | None:
    """What draws an area; None if it is none."""
    value = as_mapping(result.get("value"), what)
    labelled = as_size(result.get("original_width"), result.get("original_height"), f"the picture of {what}")
    if "rle" in value:

        def brushed(size: tuple[int, int]) -> Patch:
            check_size(labelled, size, f"The brush mask of {what}")
            return Patch(0, 0, brush_alpha(value["rle"], size, what) > 0)

        return brushed
    if "imageDataURL" in value:
        if not value["imageDataURL"]:
            notes.add("Areas of no extent are left out", what)
            return None
        data = base64_bytes(value["imageDataURL"], f"The bitmask of {what}")
        return lambda size: Patch(0, 0, png_mask(data, size, f"The bitmask of {what}", exact=True))
    outline = _outline(value, what)
    points = outline(labelled)
    check_reach(points, what)
    if len(points) < 3 or not (np.ptp(points, axis=0) > 0).all():
        notes.add("Areas of no extent are left out", what)
        return None
    if (points.max(0) <= 0).any() or (points.min(0) >= labelled[::-1]).any():
        notes.add("Areas outside of the picture are left out", what)
        return None

    def drawn(size: tuple[int, int]) -> Patch:
        # Parts of a picture hold at any size of it, but not of another shape.
        if abs(labelled[0] * size[1] - labelled[1] * size[0]) > max(*labelled, *size):
            check_size(labelled, size, f"The points of {what}")
        points = outline(size)
        check_reach(points, what)
        return coco_polygon([points], size)

    return drawn


def _outline(value: dict[str, Any], what: str) -> Callable[[tuple[int, int]], NDArray[np.float64]]:
    """What gives the outline of an area, whose numbers are hundredths of a picture's sides, in pixels."""
    if "points" in value:
        points = points_of(value["points"], what)
        return lambda size: points / 100 * [size[1], size[0]]
    names = ("x", "y", "radiusX", "radiusY") if "radiusX" in value else ("x", "y", "width", "height")
    x, y, across, down = (as_number(value.get(name), f"{name!r} of {what}") / 100 for name in names)
    angle = np.deg2rad(as_number(value.get("rotation") or 0, f"'rotation' of {what}"))

    def outline(size: tuple[int, int]) -> NDArray[np.float64]:
        height, width = size
        if "radiusX" in value:
            return ellipse_outline((x * width, y * height), (across * width, down * height), angle, step=1)
        return box_outline(x * width, y * height, across * width, down * height, angle)

    return outline
