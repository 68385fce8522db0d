"""CVAT's "CamVid 1.0", "Cityscapes 1.0" and "KITTI 1.0": masks in colours that ``label_colors.txt`` names.

As camvid_format.py, cityscapes_format.py and kitti_format of https://github.com/cvat-ai/datumaro write them for CVAT:
the classes are the task's own, whatever data set the folders are named after; a picture without a shape has no mask.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ...scanning import scan_folder
from ..class_ids import BACKGROUND
from ..colour_tables import read_classes
from ..export import UNLABELLED, Annotated, ClassLabel, Drawn, Export, Labels, SourceError, whole_map
from ..mask_files import Colours, MaskFile
from ..notes import Notes
from ..picture_index import is_picture
from ..source import Source
from ..splitting import split_in

SUMMARY = "CVAT, CamVid 1.0, Cityscapes 1.0 and KITTI 1.0: masks in the colours of label_colors.txt"
_TABLE = "label_colors.txt"


class _Place(NamedTuple):
    """What a file of an export is of: the subset and the picture's path in it, without its suffix."""

    subset: str
    name: str


class _Layout(NamedTuple):
    """Where masks and pictures are; each gives the place of a path below the table's folder, or None."""

    called: str
    mask: Callable[[PurePosixPath], _Place | None]
    picture: Callable[[PurePosixPath], _Place | None]


def _below(folders: tuple[str, ...], end: str = "") -> Callable[[PurePosixPath], _Place | None]:
    """Files in some folders, of which '*' is the subset and may have an ending, and with an ending of their own."""

    def place(path: PurePosixPath) -> _Place | None:
        parts = path.parts
        if len(parts) <= len(folders) or not path.stem.endswith(end):
            return None
        subset = ""
        for part, folder in zip(parts, folders, strict=False):
            if "*" in folder:
                rest = folder.removeprefix("*")
                if not part.endswith(rest) or part == rest:
                    return None
                subset = part.removesuffix(rest)
            elif part != folder:
                return None
        inside = PurePosixPath(*parts[len(folders) :])
        return _Place(subset, inside.with_name(path.stem.removesuffix(end)).as_posix())

    return place


_LAYOUTS = (
    _Layout(
        "Cityscapes 1.0",
        _below(("gtFine", "*"), "_gtFine_color"),
        _below(("imgsFine", "leftImg8bit", "*"), "_leftImg8bit"),
    ),
    _Layout("KITTI 1.0", _below(("*", "semantic_rgb")), _below(("*", "image_2"))),
    _Layout("CamVid 1.0", _below(("*annot",)), _below(("*",))),
)


class _Found(NamedTuple):
    base: str
    layout: _Layout
    classes: list[ClassLabel]
    masks: dict[_Place, str]


def recognise(source: Source) -> str | None:
    """What tells CVAT's masks."""
    found = _find(source)
    if found is None:
        return None
    return f"{found.base}{_TABLE} beside {next(iter(found.masks.values()))}, as of {found.layout.called}"


def read(source: Source) -> Export:
    """Read CVAT's masks.

    Raises:
        SourceError: They or their table are not there.
    """
    found = _find(source)
    if found is None:
        raise SourceError(
            f"{source.root} has no {_TABLE} with colours beside masks such as gtFine/default/*_gtFine_color.png, "
            "default/semantic_rgb/*.png or defaultannot/*.png. Export it again."
        )
    classes = sorted(found.classes, key=lambda label: label.name.lower() != BACKGROUND)
    places = {
        label.colour: UNLABELLED if label.name.lower() == BACKGROUND else i
        for i, label in enumerate(classes)
        if label.colour is not None
    }
    if len(places) < len(classes):
        raise SourceError(
            f"{source.path(found.base + _TABLE)} gives one colour to two classes, so that their masks tell nothing. "
            "Give the labels of the task other colours, and export again."
        )
    colours = Colours(places, source.colour_distance)
    notes, annotated = Notes(), []
    notes.say(f"The classes are those of {found.base}{_TABLE}, in the layout of {found.layout.called}.")
    pictures = dict(_pictures(source, found))
    for place, path in sorted(pictures.items()):
        mask = found.masks.get(place)
        labels: Labels | None = None
        if mask is not None:
            labels = MaskFile(source.path(mask), colours.convert(source.path(mask)))
        elif source.images is None:
            labels = whole_map(_nothing)
            notes.add("Pictures without a mask, as CVAT leaves those without a shape: background alone", str(path))
        split = split_in([place.subset.lower()])
        annotated.append(Annotated(path, _name(place, pictures), labels, split, source=mask or found.base + _TABLE))
    if absent := [mask for place, mask in found.masks.items() if place not in pictures]:
        notes.add(
            "Pictures that are not there, left out (export with 'Save images', or name their folder by --images)",
            absent[0],
            len(absent),
        )
    if not annotated:
        raise SourceError(
            f"{source.root} has masks and no picture of one, the first is {absent[0]}. Export with 'Save images', or "
            "name the folder of the pictures: --images FOLDER."
        )
    return Export(
        "cvat_colours", recognise(source) or "", tuple(classes), tuple(annotated), "background", notes.sentences()
    )


def _nothing(size: tuple[int, int]) -> Drawn:
    return Drawn(np.full(size, UNLABELLED, np.uint8))


def _name(place: _Place, pictures: dict[_Place, Path]) -> str:
    """The path in the subset, behind the subset where two have it."""
    alone = sum(other.name == place.name for other in pictures) == 1
    return place.name if alone else f"{place.subset}/{place.name}"


def _find(source: Source) -> _Found | None:
    for table in source.files:
        if PurePosixPath(table).name != _TABLE:
            continue
        base = table[: -len(_TABLE)]
        for layout in _LAYOUTS:
            masks = dict(_placed(source.files, base, layout.mask))
            if masks:
                try:
                    classes = read_classes(source.path(table))
                except SourceError:
                    break
                # CVAT's own background is always there; without it the table is that of the data set itself.
                named = any(label.name.lower() == BACKGROUND for label in classes)
                if named and all(label.colour is not None for label in classes):
                    return _Found(base, layout, classes, masks)
    return None


def _placed(
    files: tuple[str, ...], base: str, place_of: Callable[[PurePosixPath], _Place | None]
) -> Iterator[tuple[_Place, str]]:
    for file in files:
        if file.startswith(base) and is_picture(file):
            place = place_of(PurePosixPath(file[len(base) :]))
            if place is not None:
                yield place, file


def _pictures(source: Source, found: _Found) -> Iterator[tuple[_Place, Path]]:
    if source.images is None:
        masks = set(found.masks.values())
        for place, file in _placed(source.files, found.base, found.layout.picture):
            if file not in masks:
                yield place, source.path(file)
        return
    subsets: dict[str, list[_Place]] = {}
    for place in found.masks:
        subsets.setdefault(place.name, []).append(place)
    for file in sorted(scan_folder(source.images)):
        if is_picture(file):
            name = PurePosixPath(file).with_suffix("").as_posix()
            for place in subsets.get(name, [_Place("", name)]):
                yield place, source.images / file
