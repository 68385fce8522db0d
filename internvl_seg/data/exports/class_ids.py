"""Classes of an export as the ids of the masks that are written."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..palette import distinct_palette
from .colour_tables import NO_CLASS
from .export import IGNORED, MOST_CLASSES, UNLABELLED, ClassLabel, Export, SourceError, Unlabelled

BACKGROUND = "background"
# As tools call the class of what is nothing else.
_BACKGROUNDS = frozenset({"background", "_background_", "bg", "__background__"})


def is_background(name: str) -> bool:
    """Whether tools call the class of what is nothing else by a name."""
    return name.lower() in _BACKGROUNDS


class ClassIds(NamedTuple):
    """What the ids in masks mean.

    Attributes:
        classes: In the order of their ids, each with a colour.
        table: (256,) uint8: the id of each value of a drawn map.
        background: Id of the class of pixels that nobody labelled, or of the one with that name; None without.
        notes: What was done that the export does not say.
    """

    classes: tuple[ClassLabel, ...]
    table: NDArray[np.uint8]
    background: int | None
    notes: tuple[str, ...]


def class_ids(export: Export, unlabelled: Unlabelled | None, named: Sequence[ClassLabel] | None = None) -> ClassIds:
    """Ids of an export's classes.

    Args:
        export: The export.
        unlabelled: Whether pixels without a label are a class 'background' or ignored; None for what the tool's users
            mean. Where no class has that name, one is put first.
        named: Classes of a file, which say the order and the colours; None for the export's own. Those that the file
            does not name are ignored, but for a background, which is put first.

    Raises:
        SourceError: There are too many classes, none, or the file names none of the export's.
    """
    if not export.classes:
        raise SourceError(f"The export ({export.why}) names no class. Name them in a file: --classes FILE.")
    given, places, notes = _without_void(*_in_order(export.classes, named))
    kind = unlabelled or export.unlabelled
    background = next((i for i, label in enumerate(given) if label.name.lower() in _BACKGROUNDS), None)
    shift = 0
    if kind == "background" and background is None:
        colour = None if any(label.colour == (0, 0, 0) for label in given) else (0, 0, 0)
        given, shift, background = (ClassLabel(BACKGROUND, colour), *given), 1, 0
    if len(given) > MOST_CLASSES:
        raise SourceError(
            f"The export ({export.why}) has {len(given)} classes; masks of 8 bits hold {MOST_CLASSES}. Choose some of "
            "them: --classes FILE, one name a line; the others are ignored."
        )
    table = np.full(256, IGNORED, np.uint8)
    for place, new in places.items():
        table[place] = new + shift
    if kind == "background" and background is not None:
        table[UNLABELLED] = background
    return ClassIds(_coloured(given), table, background, notes)


def _in_order(
    classes: tuple[ClassLabel, ...], named: Sequence[ClassLabel] | None
) -> tuple[tuple[ClassLabel, ...], dict[int, int], tuple[str, ...]]:
    if named is None or [label.name for label in named] == [label.name for label in classes]:
        return classes, {i: i for i in range(len(classes))}, ()
    # A reader that takes such a name for pixels without a label has no class of it.
    void = {label.name for label in named if label.name.lower() in NO_CLASS} - {label.name for label in classes}
    named = [label for label in named if label.name not in void]
    if [label.name for label in named] == [label.name for label in classes]:
        return classes, {i: i for i in range(len(classes))}, ()
    known = {label.name for label in named}
    named = [*(one for one in classes if one.name.lower() in _BACKGROUNDS and one.name not in known), *named]
    order = {label.name: i for i, label in enumerate(named)}
    places = {i: order[label.name] for i, label in enumerate(classes) if label.name in order}
    if not any(classes[i].name in known for i in places):
        raise SourceError(
            f"--classes names {_some([label.name for label in named])}; the export has "
            f"{_some([label.name for label in classes])}, none of them. Write the names as they are in the export."
        )
    colours = {label.name: label.colour for label in classes}
    ordered = tuple(label._replace(colour=label.colour or colours.get(label.name)) for label in named)
    dropped = [label.name for label in classes if label.name not in order]
    unseen = [label.name for label in named if label.name not in colours]
    notes = []
    if dropped:
        notes.append(f"--classes does not name {_some(dropped)}: pixels of {_them(dropped)} are ignored (255).")
    if unseen:
        notes.append(f"--classes names {_some(unseen)}, which the export does not have.")
    return ordered, places, tuple(notes)


def _without_void(
    classes: tuple[ClassLabel, ...], places: dict[int, int], notes: tuple[str, ...]
) -> tuple[tuple[ClassLabel, ...], dict[int, int], tuple[str, ...]]:
    """The same without classes that are called as none, such as 'void', whose objects are ignored."""
    void = [label.name for label in classes if label.name.lower() in NO_CLASS]
    kept = [i for i, label in enumerate(classes) if label.name not in void]
    if not void or not kept:
        return classes, places, notes
    new = {old: i for i, old in enumerate(kept)}
    told = (
        f"{_some(void)} {'is no class: its' if len(void) == 1 else 'are no classes: their'} pixels are ignored (255)."
    )
    left = {place: new[old] for place, old in places.items() if old in new}
    return tuple(classes[i] for i in kept), left, (*notes, told)


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _coloured(classes: Sequence[ClassLabel]) -> tuple[ClassLabel, ...]:
    """The classes, those without a colour with one that no other has."""
    taken = {label.colour for label in classes}
    if (0, 0, 0) not in taken:
        of_nothing = next((i for i, label in enumerate(classes) if label.name.lower() in _BACKGROUNDS), None)
        if of_nothing is not None and classes[of_nothing].colour is None:
            classes = [
                label._replace(colour=(0, 0, 0)) if i == of_nothing else label for i, label in enumerate(classes)
            ]
    free = [(r, g, b) for r, g, b in distinct_palette(20) if (r, g, b) not in taken]
    free += [(r, g, b) for b in range(32, 256, 56) for g in range(16, 256, 32) for r in range(0, 256, 32)]
    left = iter(colour for colour in dict.fromkeys(free) if colour not in taken)
    return tuple(label if label.colour else label._replace(colour=next(left)) for label in classes)


def classes_text(classes: Sequence[ClassLabel]) -> str:
    """``classes.txt``: a name and its colour on every line."""
    lines = []
    for name, colour in classes:
        plain = name[:1].isalpha() and '"' not in name and "#" not in name and name.isprintable()
        text = name if plain else '"' + " ".join(name.replace('"', "'").split()) + '"'
        lines.append(text if colour is None else "{} #{:02x}{:02x}{:02x}".format(text, *colour))
    return "\n".join(lines) + "\n"
