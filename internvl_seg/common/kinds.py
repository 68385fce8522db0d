"""Kinds of values: each reads a value that somebody gave, or says what was expected instead."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

# More of anything that is counted here is a mistake.
_MOST = 1 << 20

# Gives the value that is meant, or raises UnfitValueError.
Kind = Callable[[object], Any]


class UnfitValueError(ValueError):
    """A value is none of its kind; the text says what was expected."""


def check_arguments(kinds: Mapping[str, Kind], values: Mapping[str, object]) -> None:
    """Check arguments of a function.

    Args:
        kinds: Of those that are checked.
        values: The arguments, by their names.

    Raises:
        ValueError: One is none of its kind; the message names it, what it is and what was expected.
    """
    for name, kind in kinds.items():
        try:
            kind(values[name])
        except UnfitValueError as error:
            raise ValueError(f"{name}={short(values[name])} is not {error}.") from error


def short(value: object, most: int = 80) -> str:
    """A value for messages, of bearable length.

    No more of it is looked at than is shown: what a file holds may be large, deep, or so full of itself that its whole
    text would never end.

    Args:
        value: Anything.
        most: Characters of the text.
    """
    text = ""
    for piece in _pieces(value, most):
        text += piece
        if len(text) >= most:
            return f"{text[: most - 3]}..."
    return text


def _pieces(value: object, most: int) -> Iterator[str]:
    """The text of a value, piece by piece; within each list or dict at least a character comes before what is in it."""
    if isinstance(value, (str, bytes)):
        yield repr(value[:most])
    elif isinstance(value, int) and value.bit_length() > 1000:  # Python writes out no more digits than some thousand.
        yield f"a whole number of {value.bit_length():,} bits"
    elif isinstance(value, Mapping):
        pairs = ((_pieces(key, most), iter((": ",)), _pieces(item, most)) for key, item in value.items())
        yield from _within("{", (itertools.chain(*pair) for pair in pairs), "}")
    elif isinstance(value, (list, tuple)):
        opening, closing = ("[", "]") if isinstance(value, list) else ("(", ",)" if len(value) == 1 else ")")
        yield from _within(opening, (_pieces(item, most) for item in value), closing)
    elif isinstance(value, Set) and value:
        yield from _within("{", (_pieces(item, most) for item in value), "}")
    else:
        yield repr(value)


def _within(opening: str, items: Iterable[Iterator[str]], closing: str) -> Iterator[str]:
    yield opening
    for number, item in enumerate(items):
        if number:
            yield ", "
        yield from item
    yield closing


def whole(value: object) -> int:
    """A whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST:
        raise UnfitValueError(f"a whole number from 1 to {_MOST:,}")
    return value


def whole_numbers(value: object) -> tuple[int, ...]:
    """A list of whole numbers."""
    if not isinstance(value, (list, tuple, range)) or not all(type(number) is int for number in value):
        raise UnfitValueError("a list of whole numbers, such as [-1]")
    return tuple(value)


def integer(value: object) -> int:
    """A whole number of 64 bits, also 0 or below."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**64:
        raise UnfitValueError("a whole number")
    return value


def epsilon(value: object) -> float:
    """What a norm adds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise UnfitValueError("a number between 0 and 1")
    return float(value)


def rate(value: object) -> float:
    """A share, from 0 to less than 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise UnfitValueError("a number from 0 to less than 1")
    return float(value)


def ratio(value: object) -> float:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST:
        raise UnfitValueError("a number above 0")
    return float(value)


def number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < float("inf"):
        raise UnfitValueError("a finite number")
    return float(value)


def flag(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise UnfitValueError("true or false")
    return value


def text(value: object) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise UnfitValueError("a text")
    return value


def height_and_width(value: object) -> tuple[int, int]:
    """Height and width: a number for both, two of them, or an object with both."""
    try:
        if isinstance(value, Mapping):
            return whole(value.get("height")), whole(value.get("width"))
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return whole(value[0]), whole(value[1])
        return whole(value), whole(value)
    except UnfitValueError as error:
        raise UnfitValueError(f"{error}, or [height, width] of such") from error


def optional(kind: Kind) -> Kind:
    """A kind, or None."""

    def read(value: object) -> Any:
        return None if value is None else kind(value)

    return read
