"""Any folder of pictures with a mask a class: ``masks/cat/a.png`` or ``masks/a_cat.png`` of ``images/a.jpg``.

As LabelBox's and Kaggle's binary masks lie, and IDRiD's (``1. Microaneurysms/IDRiD_01_MA.tif``).
"""

import os
from pathlib import Path, PurePosixPath

from ...scanning import scan_folder
from ..class_pairs import ClassPairs, find_class_pairs
from ..class_table import ClassTable
from ..colour_tables import find_class_file, read_classes
from ..export import Annotated, Export, SourceError
from ..notes import Notes
from ..pairs import split_of_folders
from ..source import Source
from ..united_masks import check_two_values, have_two_values, united

SUMMARY = "any folder of pictures and masks of two values, a folder or an ending of names a class"
_SHOWN = 8


def recognise(source: Source) -> str | None:
    """What tells masks of a class each."""
    pairs = _pairs(source)
    if pairs is None or not have_two_values(_paths(source, pairs)):
        return None
    return _why(pairs)


def read(source: Source) -> Export:
    """Read them.

    Raises:
        SourceError: There are none, or one holds more than two values.
    """
    pairs = _pairs(source)
    if pairs is None:
        raise SourceError(
            f"{source.root} has no pictures with a mask a class, such as images/a.jpg with masks/cat/a.png and "
            "masks/dog/a.png, or with masks/a_cat.png and masks/a_dog.png."
        )
    check_two_values(_paths(source, pairs))
    kinds = sorted({kind for some in pairs.found.values() for kind, _ in some})
    table, order = _classes(source, kinds)
    notes = Notes()
    notes.say(
        f"Masks are a class each, by {pairs.by}, and what is not black in one is its class. Where they overlap, the "
        f"last has the pixel, of: {', '.join(order)}."
    )
    if pairs.without_picture:
        notes.add("Masks without a picture, not used", pairs.without_picture[0], len(pairs.without_picture))
    rank = {kind: i for i, kind in enumerate(order)}
    places = {kind: table.add(kind) for kind in order}
    below = source.images or source.folder
    pictures = []
    names = sorted([*pairs.found, *pairs.without_mask])
    stems = [PurePosixPath(name).with_suffix("").as_posix() for name in names]
    for file, stem in zip(names, stems, strict=True):
        drawn = sorted(pairs.found.get(file, ()), key=lambda one: (rank[one[0]], one[1]))
        labels = united([(places[kind], source.path(mask)) for kind, mask in drawn]) if drawn else None
        where = drawn[0][1] if drawn else file
        name = stem if stems.count(stem) == 1 else file
        pictures.append(Annotated(below / file, name, labels, split_of_folders(file), None, where))
        if len({kind for kind, _ in drawn}) < len(drawn):
            notes.add("Pictures with several masks of one class, which are united", file)
        if drawn and len({kind for kind, _ in drawn}) < len(kinds):
            notes.add("Pictures without a mask of some class, taken as without that class", file)
    ordered = tuple(sorted(pictures, key=lambda picture: picture.name))
    return Export("class_masks", _why(pairs), table.labels(), ordered, "background", notes.sentences())


def _pairs(source: Source) -> ClassPairs | None:
    if source.images is None:
        return find_class_pairs(source.files)
    inside = os.path.relpath(os.path.realpath(source.images), os.path.realpath(source.folder)) + "/"
    return find_class_pairs([name for name in source.files if not name.startswith(inside)], scan_folder(source.images))


def _paths(source: Source, pairs: ClassPairs) -> list[Path]:
    return [source.path(mask) for some in pairs.found.values() for _, mask in some]


def _why(pairs: ClassPairs) -> str:
    kinds = sorted({kind for some in pairs.found.values() for kind, _ in some})
    more = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
    return f"{len(pairs.found)} pictures have a mask a class, by {pairs.by}: {', '.join(kinds[:_SHOWN])}{more}"


def _classes(source: Source, kinds: list[str]) -> tuple[ClassTable, list[str]]:
    """The table of the classes, and those of masks in the order in which they are drawn.

    Classes of ``--classes``, or of a file beside the masks, are drawn in its order, and over those that it does not
    name; without a file, in the order of their names.
    """
    beside = find_class_file(source) if source.classes is None else None
    path = source.classes or (source.path(beside) if beside else None)
    table = ClassTable(path or source.root)
    if path is None:
        return table, kinds
    for name, colour in read_classes(path):
        table.add(name, colour)
    named = [name for name in table.names() if name in kinds]
    if not named:
        raise SourceError(
            f"{path} names {', '.join(table.names()[:_SHOWN])}; the masks are of {', '.join(kinds[:_SHOWN])}, none of "
            "them. Write the names as the masks have them."
        )
    return table, [*(kind for kind in kinds if kind not in named), *named]
