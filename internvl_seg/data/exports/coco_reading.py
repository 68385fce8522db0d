"""COCO's JSON as labels: what the formats share that are written in it."""

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from .class_table import ClassTable
from .coco_polygon import coco_polygon
from .drawing import Patch, Shape, labels_of, points_of
from .export import Export, SourceError, Split
from .notes import Notes
from .picture_index import Labelled, PictureIndex
from .run_lengths import coco_mask
from .source import Source
from .splitting import split_of

_KEYS = ("images", "annotations", "categories")
# Three points are x and y three times.
_FEWEST = 6
# A JSON that is asked whether it is COCO's is searched for these before it is parsed: folders hold thousands.
_MARKS = tuple(f'"{key}"'.encode() for key in _KEYS)


class _Found(NamedTuple):
    """A picture's shapes, collected over the files that name it."""

    shapes: list[Shape]
    said: tuple[int, int] | None
    name: str
    split: Split | None
    source: str


def coco_files(source: Source) -> list[str]:
    """The JSON files with pictures, annotations and categories, sorted."""
    names = [name for name in source.of_suffix(".json") if source.holds(name, *_MARKS)]
    return [name for name in names if is_coco(source.json(name))]


def is_coco(data: Any) -> bool:
    """Whether what a JSON file holds is COCO's for objects or panoptic segments."""
    return isinstance(data, dict) and all(isinstance(data.get(key), list) for key in _KEYS)


def is_panoptic(data: Any) -> bool:
    """Whether COCO's annotations are panoptic: their ids are in PNGs."""
    return any(isinstance(entry, dict) and "segments_info" in entry for entry in data["annotations"][:1])


def read_coco(
    source: Source, files: Sequence[str], form: str, why: str, notes: Notes, *, placeholder: bool = False
) -> Export:
    """Read an export that is one or more COCO files with their pictures.

    Args:
        source: The export.
        files: The JSON files.
        form: The format's name.
        why: What told it.
        notes: What was found before.
        placeholder: Whether a category 0 that nothing is labelled with, of Roboflow's, is left out.

    Raises:
        SourceError: A file is not as COCO's are, or no picture is there, or no annotation has a mask.
    """
    index = PictureIndex(source)
    table = ClassTable(", ".join(files[:3]))
    without_zero = placeholder and not _uses_zero(source, files)
    places = [_categories(source, name, table, without_zero) for name in files]
    found: dict[str, _Found] = {}
    masks = 0
    for name, of_category in zip(files, places, strict=True):
        masks += _read_file(source, name, index, of_category, found, notes)
    if not masks and any(source.json(name)["annotations"] for name in files):
        raise SourceError(
            f"{source.path(files[0])} has boxes or points alone: no annotation has a polygon or a mask in its "
            "'segmentation'. Label outlines, or export them if they are labelled."
        )
    for file in found.values():
        if not file.shapes:
            notes.add("Pictures without an annotation, taken as background alone", f"{file.name} of {file.source}")
    if spare := [file for file in index.files if file not in found]:
        notes.add("Pictures that no file of labels names, left out", spare[0], len(spare))
    pictures = {
        file: Labelled(
            labels_of(at.shapes, f"{at.name} of {at.source}", at.said),
            at.source,
            at.split or split_of(file),
            _scene(file),
        )
        for file, at in found.items()
    }
    return Export(form, why, table.labels(), index.annotated(pictures), "background", notes.sentences())


def _scene(file: str) -> str | None:
    """The picture that Roboflow made several of: 'a_jpg' of 'a_jpg.rf.0123.jpg'."""
    stem, mark, _ = PurePosixPath(file).name.partition(".rf.")
    return stem if mark else None


def _uses_zero(source: Source, files: Sequence[str]) -> bool:
    return any(
        isinstance(entry, dict) and entry.get("category_id") == 0
        for name in files
        for entry in source.json(name)["annotations"]
    )


def _categories(source: Source, name: str, table: ClassTable, without_zero: bool) -> dict[Any, int]:
    """Places of the classes by a file's category ids."""
    entries = [_entry(entry, ("id", "name"), f"a category of {name}") for entry in source.json(name)["categories"]]
    if without_zero and len(entries) > 1:
        entries = [entry for entry in entries if not (entry["id"] == 0 and entry.get("supercategory") == "none")]
    by_id = sorted(entries, key=lambda entry: (str(type(entry["id"])), entry["id"]))
    if len({entry["id"] for entry in by_id}) < len(by_id):
        raise SourceError(f"{source.path(name)} has two categories of one id. Export it again.")
    colours = (entry.get("color") for entry in by_id)
    return {
        entry["id"]: table.add(entry["name"], _colour(colour)) for entry, colour in zip(by_id, colours, strict=True)
    }


def _colour(value: Any) -> tuple[int, int, int] | None:
    if isinstance(value, list) and len(value) == 3 and all(_is_whole(part) and 0 <= part <= 255 for part in value):
        return value[0], value[1], value[2]
    return None


def _read_file(
    source: Source,
    name: str,
    index: PictureIndex,
    places: dict[Any, int],
    found: dict[str, _Found],
    notes: Notes,
) -> int:
    """Add a file's pictures and shapes; how many of its annotations have a mask."""
    data = source.json(name)
    where = PurePosixPath(name)
    near = "" if where.parent == PurePosixPath() else where.parent.as_posix()
    hints = [where.stem, where.stem.partition("_")[2]]
    said_split = split_of(where.name)
    pictures: dict[Any, _Found | None] = {}
    for raw in data["images"]:
        entry = _entry(raw, ("id", "file_name"), f"an image of {name}")
        if entry["id"] in pictures:
            raise SourceError(f"{source.path(name)} has two images of id {entry['id']!r}. Export it again.")
        stated = str(entry["file_name"])
        file = index.find(stated, near, hints)
        if file is None:
            pictures[entry["id"]] = None
            notes.add("Pictures that are not there, left out", f"{stated} of {name}")
            continue
        if file in found:
            notes.add("Pictures that are named twice, with the labels of both", f"{stated} of {name}")
        split = said_split or split_of(near)
        pictures[entry["id"]] = found.setdefault(file, _Found([], _size(entry), stated, split, name))
    masks = 0
    for number, raw in enumerate(data["annotations"]):
        what = f"annotation {raw.get('id', number) if isinstance(raw, dict) else number} of {name}"
        entry = _entry(raw, ("image_id", "category_id"), what)
        if entry["image_id"] not in pictures:
            notes.add("Annotations of a picture that their file has not, left out", what)
            continue
        if entry["category_id"] not in places:
            raise SourceError(
                f"{what} has category_id {entry['category_id']!r}, but the categories there are "
                f"{', '.join(map(str, list(places)[:20]))}. Add it to the categories, or delete that annotation."
            )
        if (at := pictures[entry["image_id"]]) is None:
            masks += 1  # Whose picture is missing says nothing of the export.
            continue
        if (shape := _shape(entry, places[entry["category_id"]], at.said, what, notes)) is not None:
            at.shapes.append(shape)
            masks += 1
    return masks


def _shape(entry: dict[str, Any], place: int, said: tuple[int, int] | None, what: str, notes: Notes) -> Shape | None:
    stored = entry.get("segmentation")
    if isinstance(stored, dict):
        return Shape(place, partial(_run_lengths, stored, what))
    if not stored:
        notes.add("Annotations without a mask (boxes, points), left out", what)
        return None
    if not isinstance(stored, list):
        raise SourceError(f"The segmentation of {what} is {str(stored)[:60]!r}: a list or run lengths were expected.")
    given = stored if isinstance(stored[0], list) else [stored]
    parts = [points_of(part, what) for part in given]
    kept = [part for part in parts if part.size >= _FEWEST]
    if len(kept) < len(parts):
        notes.add("Polygons of fewer than three points, left out", what, len(parts) - len(kept))
    if not kept:
        return None
    if said is not None and _reaches_out(kept, said):
        notes.add("Polygons that reach out of the picture, cut off at its border", what)
    return Shape(place, partial(coco_polygon, kept))


def _run_lengths(stored: dict[str, Any], what: str, size: tuple[int, int]) -> Patch:
    return Patch(0, 0, coco_mask(stored, size, what))


def _reaches_out(parts: Sequence[NDArray[np.float64]], said: tuple[int, int]) -> bool:
    points = np.concatenate(parts)
    # Tools put points on the border itself, and some half a pixel beyond.
    return bool((points < -1).any() or (points > np.array([said[1], said[0]]) + 1).any())


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    return (int(height), int(width)) if _is_whole(height) and _is_whole(width) and height and width else None


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1


def _entry(entry: Any, keys: Sequence[str], what: str) -> dict[str, Any]:
    """An entry of the file, of which some keys are needed; ids are numbers or text."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str | int | float) for key in keys):
        raise SourceError(
            f"{what[0].upper()}{what[1:]} is {str(entry)[:80]!r}: {' and '.join(keys)} were expected. Export it again."
        )
    return entry
