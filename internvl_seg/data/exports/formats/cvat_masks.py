"""CVAT's "Segmentation mask 1.1": colours that labelmap.txt names, in Pascal VOC's folders."""

from pathlib import Path, PurePosixPath

import numpy as np

from ...scanning import scan_folder
from ..class_ids import BACKGROUND
from ..colour_tables import read_classes
from ..export import UNLABELLED, Annotated, Drawn, Export, Labels, SourceError, whole_map
from ..mask_files import Colours, MaskFile
from ..picture_index import is_picture
from ..source import Source
from ..splitting import split_in

SUMMARY = "CVAT, Segmentation mask 1.1: SegmentationClass in the colours of labelmap.txt"
_MAP, _MASKS, _LISTS, _PICTURES = "labelmap.txt", "SegmentationClass/", "ImageSets/Segmentation/", "JPEGImages/"


def recognise(source: Source) -> str | None:
    """What tells CVAT's masks."""
    found = _base(source)
    return None if found is None else f"{found}{_MAP} beside {found}{_MASKS}"


def read(source: Source) -> Export:
    """Read CVAT's masks.

    Raises:
        SourceError: A file is not as CVAT writes it.
    """
    base = _base(source)
    if base is None:
        raise SourceError(f"{source.root} has no {_MAP} beside {_MASKS}. Export 'Segmentation mask 1.1' again.")
    classes = read_classes(source.path(base + _MAP))
    if uncoloured := [label.name for label in classes if label.colour is None]:
        raise SourceError(f"{source.path(base + _MAP)} has no colour for {uncoloured[0]!r}. Export it again.")
    classes.sort(key=lambda label: label.name.lower() != BACKGROUND)  # CVAT sorts by name.
    places = {
        label.colour: UNLABELLED if label.name.lower() == BACKGROUND else i
        for i, label in enumerate(classes)
        if label.colour is not None
    }
    colours = Colours(places, source.colour_distance)
    masks = {_name(file, base + _MASKS): file for file in source.files if file.startswith(base + _MASKS)}
    pictures = _pictures(source, base)
    listed = _listed(source, base)
    notes, annotated, absent, unmasked = [], [], [], []
    for name in sorted({*masks, *listed, *pictures}):
        if name not in pictures:
            absent.append(name)
            continue
        labels: Labels | None = None
        if name in masks:
            path = source.path(masks[name])
            labels = MaskFile(path, colours.convert(path))
        elif name in listed:
            unmasked.append(name)
            labels = whole_map(_nothing)
        split = split_in([listed.get(name, "")])
        annotated.append(Annotated(pictures[name], name, labels, split, source=masks.get(name, base + _MAP)))
    if unmasked:
        notes.append(
            f"{len(unmasked)} pictures are listed and have no mask, as CVAT leaves those without a shape: they count "
            f"as seen and empty. The first is {unmasked[0]}."
        )
    if absent:
        notes.append(
            f"{len(absent)} pictures are not in the export, the first is {absent[0]}. Export with 'Save images', or "
            "name their folder: --images FOLDER."
        )
    return Export("cvat_masks", recognise(source) or "", tuple(classes), tuple(annotated), "background", tuple(notes))


def _nothing(size: tuple[int, int]) -> Drawn:
    return Drawn(np.full(size, UNLABELLED, np.uint8))


def _base(source: Source) -> str | None:
    """Folder of labelmap.txt, '' or with a slash at its end."""
    found = [name[: -len(_MAP)] for name in source.files if PurePosixPath(name).name == _MAP]
    return next((base for base in found if any(name.startswith(base + _MASKS) for name in source.files)), None)


def _name(file: str, folder: str) -> str:
    return PurePosixPath(file.removeprefix(folder)).with_suffix("").as_posix()


def _pictures(source: Source, base: str) -> dict[str, Path]:
    """Files of pictures by their names."""
    if source.images is not None:
        return {_name(file, ""): source.images / file for file in scan_folder(source.images) if is_picture(file)}
    start = base + _PICTURES
    return {_name(file, start): source.path(file) for file in source.files if file.startswith(start)}


def _listed(source: Source, base: str) -> dict[str, str]:
    """The subset of every picture that a list names, in lower case."""
    found = {}
    for file in source.files:
        if file.startswith(base + _LISTS) and file.endswith(".txt"):
            for line in source.path(file).read_text("utf-8-sig", "replace").splitlines():
                if line.strip():
                    found[line.strip()] = PurePosixPath(file).stem.lower()
    return found
