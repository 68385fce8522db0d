"""Values in a JSON file as what they have to be, or an error that says where they are and what they are instead."""

import math
from collections.abc import Sequence
from typing import Any

from .colour_tables import hex_colour
from .export import MOST_CLASSES, ClassLabel, SourceError

_SHOWN = 60


def as_mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping, or an error.

    Args:
        value: As JSON gives it.
        what: What it is, for the error: "'data' of task 7 of export.json".

    Raises:
        SourceError: It is none.
    """
    return value if isinstance(value, dict) else _refuse(value, what, "a mapping ({...})")


def as_list(value: Any, what: str) -> list[Any]:
    """A list, or an error."""
    return value if isinstance(value, list) else _refuse(value, what, "a list ([...])")


def as_text(value: Any, what: str) -> str:
    """A text that is not empty, or an error."""
    return value if isinstance(value, str) and value.strip() else _refuse(value, what, "a text")


def as_name(value: Any, what: str) -> str:
    """The name of a class, with single blanks between its words, or an error."""
    return " ".join(as_text(value, what).split())


def as_number(value: Any, what: str) -> float:
    """A finite number, or an error."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    return number if math.isfinite(number) else _refuse(value, what, "a finite number")


def as_whole(value: Any, what: str) -> int:
    """A whole number from 0 on, or an error."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == value // 1
    return int(value) if whole else _refuse(value, what, "a whole number from 0 on")


def as_size(width: Any, height: Any, what: str) -> tuple[int, int]:
    """(height, width) of a picture, or an error.

    Args:
        width: As JSON gives it.
        height: As JSON gives it.
        what: What it is the size of.
    """
    size = (as_whole(height, f"the height of {what}"), as_whole(width, f"the width of {what}"))
    return size if min(size) else _refuse(0, f"the size of {what}", "at least a pixel")


def check_size(stored: tuple[int, int], size: tuple[int, int], what: str) -> None:
    """Refuse labels of a picture of another size.

    Args:
        stored: (height, width) that the labels are for.
        size: Those of the picture.
        what: The labels, for the error: "The labels in a.json".

    Raises:
        SourceError: They differ.
    """
    if stored != size:
        raise SourceError(
            f"{what} are for a picture of {stored[1]} x {stored[0]} pixels, but the picture has {size[1]} x {size[0]}. "
            "Take the pictures that were labelled, as they are."
        )


def as_colour(value: Any) -> tuple[int, int, int] | None:
    """RGB from '#rrggbb' or '#rrggbbaa'; None if it is no such text."""
    return hex_colour(value[:7]) if isinstance(value, str) and len(value) in (7, 9) else None


def is_count(text: str) -> bool:
    """Whether a text is a whole number from 0 on of at most 18 digits, which fit into 64 bits."""
    return text.isdecimal() and len(text) <= 18


def check_classes(classes: Sequence[ClassLabel], where: object) -> tuple[ClassLabel, ...]:
    """The classes, or an error if masks of 8 bits have no room for them.

    Args:
        classes: In the order of their ids.
        where: The export, for the error.

    Raises:
        SourceError: There are too many.
    """
    if len(classes) > MOST_CLASSES:
        raise SourceError(
            f"{where} has {len(classes)} classes; masks of 8 bits hold {MOST_CLASSES}. Export those that are to be "
            "trained."
        )
    return tuple(classes)


def first_upper(what: str) -> str:
    """What begins a sentence: with a capital letter, unless it begins with the name of a file."""
    return what[:1].upper() + what[1:] if what.partition(" ")[0].isalpha() else what


def _refuse(value: Any, what: str, expected: str) -> Any:
    shown = str(value) if isinstance(value, bool | int | float | None) else repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} ..."
    raise SourceError(f"{first_upper(what)} is {shown}: {expected} was expected. Export it again.")
