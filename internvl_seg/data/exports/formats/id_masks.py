"""Any folder of pictures and masks of class ids, in whatever image format, of 1 to 32 bits."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..class_ids import BACKGROUND
from ..colour_tables import NO_CLASS, find_class_file, read_classes
from ..export import IGNORED, MOST_CLASSES, UNLABELLED, ClassLabel, Export, Labels, SourceError, Window
from ..mask_files import ASK, TRANSPARENT, Convert, MaskFile, count_values, is_coloured, read_values, values_to_classes
from ..pictures import Picture
from ..plain_masks import PlainMasks, find_masks, no_masks
from ..source import Source
from ..united_masks import HALF, LOSSY, united

SUMMARY = "any folder of pictures and masks of class ids (PNG, TIFF, BMP; 0/255; from 1 up; 8 to 32 bits)"
# Values of a lossy file of two are near 0 and 255.
_NEAR = 64
# Ids that are more than this many times as high as there are of them are greys to look at.
_SPARSE = 4
# Names of what is left over: a class, if it is the first of names, that has id 0.
_LEFT_OVER = frozenset(
    {*NO_CLASS, "background", "_background_", "__background__", "bg", "other", "others", "rest", "clutter"}
)
# White, of 8 and of 16 bits.
_HIGH = frozenset({255, 65535})


def recognise(source: Source) -> str | None:
    """What tells masks of ids."""
    masks = find_masks(source)
    if not masks.masks or is_coloured(masks.sample):
        return None
    return f"{len(masks.masks)} pictures have masks of one channel, the first is {masks.masks[0]}"


def read(source: Source) -> Export:
    """Read masks of ids.

    Raises:
        SourceError: There are none, or their values cannot be told: the message lists them.
    """
    masks = find_masks(source)
    if not masks.masks:
        raise no_masks(source)
    named, notes = _names(source), masks.notes()
    why = recognise(source) or ""
    if all(path.suffix.lower() in LOSSY for path in masks.masks):
        two = _two(named)
        counts, _ = _count(masks)
        near = sum(number for value, number in counts.items() if not _NEAR <= value < 256 - _NEAR)
        if near < 0.98 * sum(counts.values()):
            raise SourceError(
                f"The masks are {masks.masks[0].suffix} files with {len(counts)} values, most not near 0 or 255: "
                "lossy files do not keep ids. Export them as PNG."
            )
        notes.append(f"The masks are lossy files with {len(counts)} values: from {HALF} up is {two[1].name!r}.")
        pictures = masks.annotated(lambda mask: MaskFile(mask, _threshold(mask)), _of_objects)
        notes += _several(masks)
        return Export("id_masks", why, two, pictures, "ignore", tuple(notes))
    counts, kinds = _count(masks)
    try:
        nodata = _nodata(masks)
        mixed = None if nodata in _HIGH else _of_two_kinds(counts, kinds, named)
        classes, places, said = mixed or _with_transparent(counts, named, nodata)
    except SourceError as error:
        raise SourceError(f"{masks.masks[0].parent}: {error}") from error
    classes, places, void = _without_void(classes, places)
    said += void
    of_two = set(places.values()) == {0, 1} and places.get(0, 0) == 0
    pictures = masks.annotated(
        lambda mask: MaskFile(mask, values_to_classes(places, mask)), _of_objects if of_two else None
    )
    said += _several(masks) if of_two else []
    return Export("id_masks", why, classes, pictures, "ignore", (*notes, *said))


def _of_objects(masks: list[Path]) -> Labels:
    return united([(1, mask) for mask in masks], base=0)


def _several(masks: PlainMasks) -> list[str]:
    if not masks.several:
        return []
    first = next(iter(masks.several))
    return [f"{len(masks.several)} pictures have several masks, which are united; the first is {first}."]


def _names(source: Source) -> list[ClassLabel] | None:
    if source.classes is not None:
        return read_classes(source.classes)
    name = find_class_file(source)
    return read_classes(source.path(name)) if name else None


def _count(masks: PlainMasks) -> tuple[dict[int, int], set[tuple[bool, bool]]]:
    """How often each value occurs in all masks that can be read, and which of 1 and the highest a mask has with 0."""
    counts: dict[int, int] = {}
    kinds, failed = set(), None
    paths = dict.fromkeys([*masks.masks, *(mask for parts in masks.several.values() for mask in parts)])
    for _, found in count_values(list(paths), read_values):
        if isinstance(found, SourceError):
            failed = failed or found
            continue
        kinds.add((1 in found, 0 in found and not _HIGH.isdisjoint(found)))
        for value, number in found.items():
            counts[value] = counts.get(value, 0) + number
    if not counts:
        raise failed or SourceError("The masks hold no pixel.")
    return counts, kinds


def _of_two_kinds(
    counts: dict[int, int], kinds: set[tuple[bool, bool]], named: list[ClassLabel] | None
) -> tuple[tuple[ClassLabel, ...], dict[int, int], list[str]] | None:
    """As :func:`_ids`, where some masks are of 0 and 1, and others of 0 and 255: None if they are not."""
    high = _HIGH & counts.keys()
    if not high or 1 not in counts or not counts.keys() <= {0, 1, TRANSPARENT} | high or len(named or ()) > 2:
        return None
    if (True, True) in kinds or (False, True) not in kinds:
        return None
    two = _two(named)
    told = f"Some masks hold 0 and 1, others 0 and {_listed(high)}, and none both: all of these are {two[1].name!r}."
    return two, {TRANSPARENT: UNLABELLED, 0: 0, 1: 1} | dict.fromkeys(high, 1), [told]


def _nodata(masks: PlainMasks) -> int | None:
    """The value that all of some masks call none."""
    found = set()
    for path in masks.sample:
        try:
            with Picture(path, path.name) as mask:
                found.add(mask.nodata)
        except SourceError:
            continue
    (value,) = found if len(found) == 1 else (None,)
    return None if value is None or not np.isfinite(value) else int(value)


def _two(named: list[ClassLabel] | None) -> tuple[ClassLabel, ClassLabel]:
    if named is None:
        return ClassLabel(BACKGROUND), ClassLabel("object")
    if len(named) > 2:
        raise SourceError(f"The masks hold two values, and {len(named)} classes are named. Name two, or the object's.")
    return (named[0], named[1]) if len(named) == 2 else (ClassLabel(BACKGROUND), named[0])


def _with_transparent(
    counts: dict[int, int], named: list[ClassLabel] | None, nodata: int | None
) -> tuple[tuple[ClassLabel, ...], dict[int, int], list[str]]:
    """As :func:`_ids`, of masks some pixels of which may be transparent: background, if all others are one object."""
    clear = counts.pop(TRANSPARENT, 0)
    if not clear:
        return _ids(counts, named, nodata)
    if len(counts) == 1 and (named is None or len(named) <= 2):
        two = _two(named)
        return two, {TRANSPARENT: 0, next(iter(counts)): 1}, [f"Pixels that are not transparent are {two[1].name!r}."]
    if not counts:
        raise SourceError("All pixels of the masks are transparent. Export them again.")
    classes, places, said = _ids(counts, named, nodata)
    return classes, places | {TRANSPARENT: UNLABELLED}, [f"{clear} transparent pixels count as not labelled.", *said]


def _ids(
    counts: dict[int, int], named: list[ClassLabel] | None, nodata: int | None
) -> tuple[tuple[ClassLabel, ...], dict[int, int], list[str]]:
    """Classes, the place of each value, and what is to be said."""
    values = set(counts)
    if len(values) == 2 and min(values) == 0 and max(values) in (1, 255, 65535):
        nodata = None  # Else there would be but one class.
    ignored = {value for value in values if value < 0} | ({nodata} & values if nodata is not None else set())
    highest = len(named) - 1 if named else MOST_CLASSES - 1
    for top in (255, 65535):
        if top in values and top > highest and any(0 < value < top for value in values - ignored):
            ignored.add(top)
    notes = [f"Values {_listed(ignored)} are ignored (255)."] if ignored else []
    places = dict.fromkeys(ignored, IGNORED)
    left = sorted(values - ignored)
    if not left:
        raise SourceError(f"The masks hold nothing but {_listed(ignored)}, which is no class.")
    if set(left) <= {0, left[-1]} and left[-1] in (1, 255, 65535) and (named is None or len(named) <= 2):
        two = _two(named)
        if left[-1] > 1:
            notes.append(f"The masks hold 0 and {left[-1]}: {left[-1]} is {two[1].name!r}.")
        return two, places | {0: 0, left[-1]: 1}, notes
    if named is not None:
        if left[-1] < len(named):
            if 0 not in left:
                notes.append(
                    f"No pixel has id 0, which is {named[0].name!r} as the first line. If ids begin with 1, write "
                    "'void' into a line before it."
                )
            return tuple(named), places | {i: i for i in range(len(named))}, notes
        if left[-1] == len(named):
            zeroth, top = named[0].name, left[-1]
            if left[0] == 0 and zeroth.lower() in _LEFT_OVER:
                raise SourceError(
                    f"The masks hold ids from 0 to {top}, and {len(named)} classes are named, of which {zeroth!r} is "
                    f"the first: either {top} is no class or 0 is none. Write 'void' into a line of its own, after the "
                    f"last name if {top} is void, before the first if ids begin with 1: {ASK}."
                )
            notes.append(
                f"Ids begin with 1, as the highest is {top} of {len(named)} classes; 0 is not labelled. If {top} is "
                "void instead, write 'void' into a line after the last name."
            )
            return tuple(named), places | {0: UNLABELLED} | {i + 1: i for i in range(len(named))}, notes
        raise SourceError(
            f"{len(named)} classes are named, and the masks hold {_listed(left, counts)}. Ids are lines of the file, "
            f"from 0 or 1 up; greys need their colour behind the name, such as road #555555. Make it complete: {ASK}."
        )
    if left == [0]:
        raise SourceError(
            "The masks hold nothing but 0, so that there is nothing to tell apart. See whether they are those that "
            f"were labelled, or name the classes: {ASK}."
        )
    if len(left) > MOST_CLASSES or left[-1] >= _SPARSE * max(len(left), 4) or left[-1] >= MOST_CLASSES:
        raise SourceError(
            f"The masks hold {len(left)} values up to {left[-1]}: {_listed(left, counts)}. Are they ids, numbers of "
            "objects, or greys to look at? Name the classes: "
            f"{ASK}; for greys with the grey as the colour, such as road #555555. Of black and white with smooth edges "
            "name 'background #000000' and 'object #ffffff', and let the nearer count: --colour-distance 255."
        )
    first = 0 if left[0] == 0 else 1
    if first:
        notes.append("Ids begin with 1, as no pixel has 0.")
    unnamed = tuple(ClassLabel(f"class {i}") for i in range(first, left[-1] + 1))
    notes.append(f"The classes have no names; --classes FILE names them, a line each from id {first} up.")
    return unnamed, places | {i: i - first for i in range(first, left[-1] + 1)}, notes


def _without_void(
    classes: tuple[ClassLabel, ...], places: dict[int, int]
) -> tuple[tuple[ClassLabel, ...], dict[int, int], list[str]]:
    """The same without classes that are called as none, such as 'void', whose pixels have no label."""
    void = [label.name for label in classes if label.name.lower() in NO_CLASS]
    kept = [place for place, label in enumerate(classes) if label.name not in void]
    if not void or not kept:
        return classes, places, []
    new = {place: i for i, place in enumerate(kept)} | {IGNORED: IGNORED, UNLABELLED: UNLABELLED}
    notes = [f"{name!r} is no class: its pixels count as not labelled." for name in void]
    moved = {value: new.get(place, UNLABELLED) for value, place in places.items()}
    return tuple(classes[place] for place in kept), moved, notes


def _listed(values: Iterable[int], counts: dict[int, int] | None = None) -> str:
    some = sorted(values)
    total = sum(counts.values()) if counts else 1
    text = [f"{value} ({100 * counts[value] / total:.2g} %)" if counts else str(value) for value in some]
    return ", ".join(text[:12]) + (f", ... {text[-1]}" if len(text) > 12 else "")


def _threshold(where: Path) -> Convert:
    def convert(mask: Picture, window: Window) -> NDArray[np.uint8]:
        return (read_values(mask, window, where) >= HALF).astype(np.uint8)

    return convert
