"""Any folder of pictures and masks in colours, with a table of the colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..colour_tables import NO_CLASS, find_class_file, read_classes
from ..export import UNLABELLED, ClassLabel, Export, SourceError, Window
from ..mask_files import Colours, MaskFile, count_values, has_colours_by_number, read_colours
from ..pictures import Picture
from ..plain_masks import PlainMasks, are_coloured, find_masks, no_masks
from ..source import Source

SUMMARY = "any folder of pictures and masks in colours, with a table of them (CSV, labelmap.txt, classes.txt, JSON)"
_SHOWN = 40


def recognise(source: Source) -> str | None:
    """What tells masks in colours."""
    masks = find_masks(source)
    if not masks.masks:
        return None
    if are_coloured(masks):
        return f"{len(masks.masks)} pictures have masks in colours, the first is {masks.masks[0]}"
    table = _table(source)
    if table is not None and has_colours_by_number(masks.sample, {label.colour for label in table[1] if label.colour}):
        return f"{len(masks.masks)} pictures have masks by number in the colours of {table[0]}"
    if table is not None and _is_grey(table[1]):
        return f"{table[0]} names greys, and {len(masks.masks)} pictures have masks, the first is {masks.masks[0]}"
    return None


def read(source: Source) -> Export:
    """Read masks in colours.

    Raises:
        SourceError: There are none, or no table of their colours: the message lists those that are there.
    """
    masks = find_masks(source)
    if not masks.masks:
        raise no_masks(source)
    table = _table(source)
    if table is None:
        raise SourceError(_ask(masks))
    where, classes = table
    if not any(label.colour for label in classes):
        raise SourceError(f"{where} names classes without colours. {_ask(masks)}")
    if missing := [label.name for label in classes if label.colour is None]:
        raise SourceError(f"{where} has no colour for {missing[0]!r}. Write it behind the name: {missing[0]} #804000.")
    kept = [label for label in classes if label.name.lower() not in NO_CLASS]
    places = {label.colour: i for i, label in enumerate(kept) if label.colour}
    if len(places) < len(kept):
        raise SourceError(f"{where} gives one colour to two classes. Give each its own, or name one of them only.")
    notes = [f"Classes and colours are those of {where}.", *masks.notes()]
    for label in classes:
        if label.name.lower() in NO_CLASS and label.colour:
            places[label.colour] = UNLABELLED
            notes.append(f"{label.name!r} is no class: its pixels count as not labelled.")
    colours = Colours(places, source.colour_distance)
    if source.colour_distance:
        notes.append(f"Colours within {source.colour_distance:g} of a class's count as it.")
    pictures = masks.annotated(lambda mask: MaskFile(mask, colours.convert(mask)))
    return Export("colour_masks", recognise(source) or "", tuple(kept), pictures, "ignore", tuple(notes))


def _table(source: Source) -> tuple[Path, list[ClassLabel]] | None:
    if source.classes is not None:
        return source.classes, read_classes(source.classes)
    name = find_class_file(source)
    return (source.path(name), read_classes(source.path(name))) if name else None


def _is_grey(classes: list[ClassLabel]) -> bool:
    """Whether all classes have greys for colours, and not their ids."""
    colours = [label.colour for label in classes]
    grey = all(colour is not None and len(set(colour)) == 1 for colour in colours)
    return grey and colours != [(i, i, i) for i in range(len(colours))]


def _ask(masks: PlainMasks) -> str:
    """The colours that are there, to be named."""
    counts: dict[int, int] = {}
    for _, found in count_values(masks.sample, _codes):
        if not isinstance(found, SourceError):
            for code, count in found.items():
                counts[code] = counts.get(code, 0) + count
    most = sorted(counts, key=lambda code: -counts[code])
    total = sum(counts.values())
    lines = "\n".join(f"  #{code:06x}  {100 * counts[code] / total:.2f} % of the pixels" for code in most[:_SHOWN])
    more = f"\n  and {len(most) - _SHOWN} more: edges are smooth or the file is lossy" if len(most) > _SHOWN else ""
    return (
        "Which colour is which class? Write a file with a line for each class, its name and its colour, such as road "
        f"#804000, and give it with --classes FILE. {len(masks.sample)} of {len(masks.masks)} masks have\n{lines}{more}"
    )


def _codes(mask: Picture, window: Window, where: Path) -> NDArray[np.int64]:
    return read_colours(mask, window, where)[0]
