"""Hasty's (CloudFactory's) JSON, and its PNG masks with ``label_classes.json``; the pictures lie elsewhere.

The layouts are those of its documentation (https://docs.cloudfactory.com/export-formats, Hasty JSON v1.1 and Semantic
segmentation). A mask's run lengths lie in the object's box, whose right and lower edges are not part of it, go along
the rows and begin with pixels of the object; its Python client (https://github.com/cloudfactory/hasty-python,
label_utils.py) writes pairs of a first pixel, from 1, and a length instead, so that it is looked at which of the two
all masks of an export are. Polygons are drawn by COCO's own rasteriser; objects with a higher ``z_index`` are on top.
A pixel without an object is background.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..coco_polygon import coco_polygon
from ..drawing import Patch, Shape, check_reach, labels_of, points_of
from ..export import UNLABELLED, Annotated, ClassLabel, Drawn, Export, Labels, SourceError, whole_map
from ..fields import (
    as_colour,
    as_list,
    as_mapping,
    as_name,
    as_number,
    as_size,
    as_text,
    as_whole,
    check_size,
    first_upper,
)
from ..find_pictures import by_stem
from ..hasty_runs import Runs, box_of, reader_of_runs
from ..id_pngs import read_ids
from ..named_pictures import NamedPictures
from ..notes import Notes
from ..picture_index import PictureIndex
from ..source import Source, fitting_json

SUMMARY = "Hasty: JSON v1.0 and v1.1, or PNG masks with label_classes.json; the pictures by --images FOLDER"
_NAME = "hasty"
_CLASSES = "label_classes.json"
# An image in one of these states without a label has not been looked at.
_UNFINISHED = ("NEW", "IN PROGRESS", "SKIPPED")


def recognise(source: Source) -> str | None:
    """What tells that files are Hasty's."""
    if (listed := _listed(source)) is not None:
        return f"{listed} has classes with 'png_index'"
    name = fitting_json(source, _fits)
    return None if name is None else f"{name} has 'label_classes' and 'images' with 'labels'"


def _listed(source: Source) -> str | None:
    for name in source.files:
        if PurePosixPath(name).name == _CLASSES:
            try:
                found = source.json(name)
            except SourceError:
                continue
            if isinstance(found, list) and found and isinstance(found[0], dict) and "png_index" in found[0]:
                return name
    return None


def _fits(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("label_classes"), list):
        return False
    images = found.get("images")
    return isinstance(images, list) and (not images or (isinstance(images[0], dict) and "image_name" in images[0]))


def read(source: Source) -> Export:
    """Read an export.

    Raises:
        SourceError: It is damaged, or its pictures are not there.
    """
    listed = _listed(source)
    return _read_json(source) if listed is None else _read_masks(source, listed)


def _read_masks(source: Source, listed: str) -> Export:
    """Masks of 8 bits, of which ``png_index`` says what the values are; numbers may be left out."""
    notes = Notes()
    labels: list[ClassLabel] = []
    place: dict[int, int] = {0: UNLABELLED}
    for value in as_list(source.json(listed), listed):
        given = as_mapping(value, f"a class of {listed}")
        name = as_name(given.get("class_name", given.get("name")), f"'class_name' of a class of {listed}")
        index = as_whole(given.get("png_index"), f"'png_index' of {name!r} in {listed}")
        if not 0 < index < 256 or index in place:
            raise SourceError(f"{listed} has {name!r} at 'png_index' {index}: 1 to 255, once each, were expected.")
        place[index] = len(labels)
        labels.append(ClassLabel(name, as_colour(given.get("color"))))
    folder = PurePosixPath(listed).parent
    inside = [PurePosixPath(name) for name in source.of_suffix(".png")]
    # Where pictures are in the same folder, they are not beside the masks.
    masks = [path for path in inside if folder == PurePosixPath(".") or path.is_relative_to(folder)]
    if source.images is not None and source.images.resolve().is_relative_to(source.folder.resolve()):
        taken = source.images.resolve().relative_to(source.folder.resolve()).as_posix()
        masks = [path for path in masks if not path.is_relative_to(taken)]
    if not masks:
        raise SourceError(f"{source.path(listed)} has no masks beside it, which are PNGs. Export both again.")
    pictures = PictureIndex(source)
    find = by_stem(pictures, () if source.images is not None else {str(path) for path in masks})
    named_pictures = NamedPictures(pictures, notes)
    for mask in masks:
        stem = (
            mask.relative_to(folder).with_suffix("").as_posix()
            if folder != PurePosixPath(".")
            else str(mask.with_suffix(""))
        )
        path = find(stem, str(mask))
        if path is None:
            named_pictures.add_missing(str(mask), str(mask), "Masks whose pictures are not there are left out")
            continue
        drawer = _mapped(source.path(str(mask)), place, listed)
        named_pictures.add(path, Annotated(pictures.path(path), path, drawer, source=str(mask)))
    return named_pictures.export(_NAME, recognise(source), source, labels)


def _mapped(path: Path, place: dict[int, int], listed: str) -> Labels:
    def whole(size: tuple[int, int]) -> Drawn:
        ids = read_ids(path)
        check_size((ids.shape[0], ids.shape[1]), size, f"The labels in {path}")
        table = np.zeros(int(ids.max(initial=0)) + 1, np.uint8)
        for value in np.unique(ids).tolist():
            if value not in place:
                raise SourceError(f"{path} holds {value}, which {listed} does not name. Export both again.")
            table[value] = place[value]
        return Drawn(table[ids])

    return whole_map(whole)


def _read_json(source: Source) -> Export:
    notes = Notes()
    pictures = PictureIndex(source)
    labels: list[ClassLabel] = []
    named_pictures = NamedPictures(pictures, notes)
    for file in source.of_suffix(".json"):
        content = source.json(file)
        if not _fits(content):
            notes.add("JSON files that are not Hasty's are left out", file)
            continue
        for value in as_list(content["label_classes"], f"'label_classes' of {file}"):
            given = as_mapping(value, f"a class of {file}")
            label = ClassLabel(
                as_name(given.get("class_name"), f"'class_name' of a class of {file}"), as_colour(given.get("color"))
            )
            labels += [label] if label.name not in [known.name for known in labels] else []
        place = {label.name: i for i, label in enumerate(labels)}
        entries = [
            as_mapping(value, f"an image of {file}") for value in as_list(content["images"], f"'images' of {file}")
        ]
        read_runs = reader_of_runs(entries, file)
        for entry in entries:
            named = as_text(entry.get("image_name"), f"'image_name' of an image of {file}")
            where = f"{named} in {file}"
            folder = entry.get("dataset_name")
            path = pictures.find(f"{folder}/{named}" if isinstance(folder, str) and folder else named)
            if path is None:
                named_pictures.add_missing(named, where)
                continue
            drawer = _labels(entry, where, place, read_runs, notes)
            named_pictures.add(path, Annotated(pictures.path(path), path, drawer, source=where))
    return named_pictures.export(_NAME, recognise(source), source, labels)


def _labels(entry: dict[str, Any], where: str, place: dict[str, int], read_runs: Runs, notes: Notes) -> Labels | None:
    values = as_list(entry.get("labels") or [], f"'labels' of {where}")
    status = entry.get("image_status")
    if not values and status in _UNFINISHED:
        notes.add(f"Pictures in the state {status!r} without a label count as not labelled", where)
        return None
    if status == "SKIPPED":
        notes.add("Pictures that were skipped count as not labelled", where)
        return None
    size = as_size(entry.get("width"), entry.get("height"), where)
    found: list[tuple[float, Shape]] = []
    for number, value in enumerate(values, start=1):
        what = f"label {number} of {where}"
        label = as_mapping(value, what)
        name = as_name(label.get("class_name"), f"'class_name' of {what}")
        if name not in place:
            raise SourceError(f"{first_upper(what)} is of class {name!r}, which 'label_classes' does not have.")
        order = as_number(label.get("z_index") or 0, f"'z_index' of {what}")
        if (pixels := _pixels(label, what, size, read_runs, notes)) is not None:
            found.append((order, Shape(place[name], pixels)))
    shapes = [shape for _, shape in sorted(found, key=lambda one: one[0])]

    return labels_of(shapes, where, size)


def _pixels(
    label: dict[str, Any], what: str, size: tuple[int, int], read_runs: Runs, notes: Notes
) -> Callable[[tuple[int, int]], Patch] | None:
    if label.get("mask"):
        top, left, height, width = box_of(label, what)
        if height > size[0] or width > size[1]:
            raise SourceError(
                f"The box of {what} has {width} x {height} pixels, but the picture {size[1]} x {size[0]}. "
                "Export it again."
            )
        if top >= size[0] or left >= size[1]:
            notes.add("Labels outside of the picture are left out", what)
            return None
        return lambda _: Patch(top, left, read_runs(label["mask"], (height, width), what))
    if label.get("polygon"):
        points = points_of(label["polygon"], what)
        check_reach(points, what)
        if len(points) < 3 or not (np.ptp(points, axis=0) > 0).all():
            notes.add("Polygons of no extent are left out", what)
            return None
        return lambda seen: coco_polygon([points], seen)
    notes.add("Boxes without a mask or a polygon are no areas and are left out", what)
    return None
