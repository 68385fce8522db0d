"""Which attribute of VGG Image Annotator's regions is their class, and what its values are called."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .drawing import Patch
from .export import SourceError
from .fields import first_upper
from .notes import Notes

# The class of regions without any attribute.
_NAMELESS = "object"
_CHOSEN_FROM = ("dropdown", "radio")
_SHOWN = 4


class Region(NamedTuple):
    """An area of a picture.

    Attributes:
        attributes: What it has of each attribute.
        pixels: Gives its pixels in a picture of (height, width) pixels.
        what: For messages.
    """

    attributes: dict[str, Any]
    pixels: Callable[[tuple[int, int]], Patch]
    what: str


class Regions(NamedTuple):
    """All regions of an export.

    Attributes:
        regions: The regions.
        attributes: What a project says of each attribute; options' names by their ids are among it.
    """

    regions: list[Region]
    attributes: dict[str, Any]


def classes_of(found: Regions, named: Sequence[str], notes: Notes) -> tuple[list[str | None], list[str]]:
    """The class of each region, and all classes.

    It is the attribute that all regions have; of several, the one that is chosen from a list, or whose values are all
    in the file of classes. Regions without any attribute at all are of one class, 'object' or the one in that file.

    Args:
        found: The regions.
        named: The names in the file of classes; none if there is no such file.
        notes: Takes what is left out.

    Returns:
        Names, None for a region without a value; and the names in order: as the project lists the options, others
        after them by name.

    Raises:
        SourceError: Several attributes may be it.
    """
    values = {
        name: [_value(region.attributes.get(name), found.attributes.get(name)) for region in found.regions]
        for name in dict.fromkeys(name for region in found.regions for name in region.attributes)
    }
    values = {name: given for name, given in values.items() if any(value is not None for value in given)}
    if not values:
        name = named[0] if len(named) == 1 else _NAMELESS
        for region in found.regions:
            notes.add(f"Regions have no attribute; they are all of the class {name!r}", region.what)
        return [name] * len(found.regions), [name] if found.regions else []
    chosen = _choose(values, found.attributes, named)
    labels = values[chosen]
    for label, region in zip(labels, found.regions, strict=True):
        if label is None:
            _refuse_several(region, chosen)
            notes.add(f"Regions without a value of {chosen!r}, which is the class, are left out", region.what)
    for name in values:
        if name != chosen:
            notes.add(f"The class is the attribute {chosen!r}; others are left out", repr(name))
    listed = list(_options(found.attributes.get(chosen)).values())
    seen = {label for label in labels if label is not None}
    return labels, list(dict.fromkeys([*listed, *sorted(seen - set(listed))]))


def _choose(values: dict[str, list[str | None]], attributes: dict[str, Any], named: Sequence[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    full = [name for name, given in values.items() if None not in given]
    fitting = [name for name, given in values.items() if named and {v for v in given if v is not None} <= set(named)]
    listed = [name for name in full if _kind(attributes.get(name)) in _CHOSEN_FROM]
    for candidates in (fitting, full, listed):
        if len(candidates) == 1:
            return candidates[0]
    shown = "; ".join(f"{name!r} ({_some(given)})" for name, given in values.items())
    raise SourceError(
        f"Regions have {len(values)} attributes, and {len(full)} of them have a value in all regions: {shown}. Say "
        "which is the class by a file with its values, one a line: --classes FILE."
    )


def _some(values: list[str | None]) -> str:
    names = list(dict.fromkeys(repr(value) for value in values if value is not None))
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _kind(attribute: Any) -> Any:
    return attribute.get("type") if isinstance(attribute, dict) else None


def _options(attribute: Any) -> dict[str, str]:
    """Names of options by their ids; an option that was not named is called by its id."""
    options = attribute.get("options") if isinstance(attribute, dict) else None
    if not isinstance(options, dict):
        return {}
    return {str(key): " ".join(name.split()) or str(key) for key, name in options.items() if isinstance(name, str)}


def _ticked(value: Any) -> list[str]:
    """Which boxes are ticked, of an attribute of checkboxes."""
    return [key for key, on in value.items() if on is True or on == "true"] if isinstance(value, dict) else []


def _refuse_several(region: Region, name: str) -> None:
    ticked = _ticked(region.attributes.get(name))
    if len(ticked) > 1:
        raise SourceError(
            f"{first_upper(region.what)} has {len(ticked)} options of {name!r}, {ticked[0]!r} and "
            f"{ticked[1]!r}: a region is of one class. Leave one of them ticked, and export again."
        )


def _value(value: Any, attribute: Any) -> str | None:
    """What a region has of an attribute, by name; None if nothing, or several."""
    if isinstance(value, dict):
        ticked = _ticked(value)
        value = ticked[0] if len(ticked) == 1 else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = " ".join(str(value).split())
    return _options(attribute).get(text, text) if text and text != "undefined" else None
