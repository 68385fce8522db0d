"""Roboflow's "Semantic Segmentation Masks": ids in ``NAME_mask.png`` beside pictures, named by ``_classes.csv``."""

import csv
from pathlib import PurePosixPath

from ...class_files import read_lines
from ...folder_errors import FolderError
from ..export import ClassLabel, Export, SourceError
from ..fields import is_count
from ..mask_files import with_ids
from ..picture_index import is_picture
from ..source import Source
from ..splitting import split_in

SUMMARY = "Roboflow, Semantic Segmentation Masks: NAME_mask.png beside NAME.jpg, with _classes.csv"
_TABLE, _END = "_classes.csv", "_mask.png"


def recognise(source: Source) -> str | None:
    """What tells Roboflow's masks."""
    tables = _tables(source)
    masks = [name for name in source.files if name.endswith(_END)]
    return f"{tables[0]} beside {masks[0]}" if tables and masks else None


def read(source: Source) -> Export:
    """Read Roboflow's masks.

    Raises:
        SourceError: A file is not as Roboflow writes it, or the splits have different classes.
    """
    tables = {name: _read_table(source, name) for name in _tables(source)}
    if not tables:
        raise SourceError(f"{source.root} has no {_TABLE}. Export 'Semantic Segmentation Masks' again.")
    first, values = next(iter(tables.items()))
    for name, others in tables.items():
        if others != values:
            raise SourceError(f"{name} and {first} name other classes. Export all splits of one version together.")
    ordered = sorted(values)
    places = {value: place for place, value in enumerate(ordered)}
    pictures = {
        PurePosixPath(name).with_suffix("").as_posix(): name
        for name in source.files
        if is_picture(name) and not name.endswith(_END)
    }
    masks = {name[: -len(_END)]: name for name in source.files if name.endswith(_END)}
    annotated = []
    for name, file in pictures.items():
        split = split_in(PurePosixPath(name.lower()).parts[:-1])
        annotated.append(with_ids(source, file, masks.get(name), places, split, _original(name)))
    notes = []
    if alone := [mask for name, mask in masks.items() if name not in pictures]:
        notes.append(f"{len(alone)} masks have no picture, the first is {alone[0]}.")
    classes = tuple(ClassLabel(values[value]) for value in ordered)
    return Export("roboflow_masks", recognise(source) or "", classes, tuple(annotated), "background", tuple(notes))


def _tables(source: Source) -> list[str]:
    return [name for name in source.files if PurePosixPath(name).name == _TABLE]


def _original(name: str) -> str:
    """The picture that Roboflow has made this one of, perhaps several times: its name up to ``.rf.`` and a hash."""
    return PurePosixPath(name).name.partition(".rf.")[0]


def _read_table(source: Source, name: str) -> dict[int, str]:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(read_lines(source.path(name)))]
    except FolderError as error:
        raise SourceError(str(error)) from error
    except csv.Error as error:
        raise SourceError(f"{source.path(name)} is no CSV: {error}. Export it again.") from error
    lines = [row for row in rows[1:] if row]
    whole = all(len(row) > 1 and is_count(row[0]) for row in lines)
    found = {int(row[0]): row[1] for row in lines} if whole else {}
    if not found or len(set(found.values())) < len(found):
        raise SourceError(
            f"{source.path(name)} is no table of pixel values and classes: {rows[:2]}. Expected 'Pixel Value, Class' "
            "and a line for each."
        )
    return found
