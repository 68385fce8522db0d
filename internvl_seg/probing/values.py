"""Checks of the values in a config, whose errors name the key."""

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from ..training import ConfigError

# Checks one value: takes its key and itself.
Check = Callable[[str, Any], None]


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that is neither NaN nor infinite; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def whole(least: int) -> Check:
    """A check for whole numbers from ``least`` on."""

    def check(key: str, value: Any) -> None:
        if not is_whole(value):
            raise ConfigError(f"{key}={value!r} is not a whole number.")
        if value < least:
            raise ConfigError(f"{key}={value} must be at least {least}.")

    return check


def number(*, above: float | None = None, least: float | None = None, most: float = math.inf) -> Check:
    """A check for finite numbers in a range."""

    def check(key: str, value: Any) -> None:
        if not is_number(value):
            hint = " Leave the quotes out." if isinstance(value, str) else ""
            raise ConfigError(f"{key}={value!r} is not a finite number.{hint}")
        if (above is not None and value <= above) or (least is not None and value < least) or value > most:
            low = f"above {above:g}" if above is not None else f"at least {least:g}"
            raise ConfigError(f"{key}={value} must be {low}{f' and at most {most:g}' if most < math.inf else ''}.")

    return check


def one_of(allowed: Sequence[str]) -> Check:
    """A check for some words."""

    def check(key: str, value: Any) -> None:
        if value not in allowed:
            raise ConfigError(f"{key}={value!r} is not known; choose one of {', '.join(allowed)}.")

    return check


def truth(key: str, value: Any) -> None:
    """Check for True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value!r} is neither True nor False.")


def text(key: str, value: Any) -> None:
    """Check for text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{key}={value!r} is not a text, or an empty one.")


def list_of(check_entry: Check, *, may_be_empty: bool = False) -> Check:
    """A check for lists of different values."""

    def check(key: str, value: Any) -> None:
        if not isinstance(value, (list, tuple)) or not (value or may_be_empty):
            least = "" if may_be_empty else " of at least one value"
            raise ConfigError(f"{key}={value!r}: give a list{least}.")
        for i, entry in enumerate(value):
            check_entry(f"{key}[{i}]", entry)
            if entry in value[:i]:
                raise ConfigError(f"{key}={list(value)} holds {entry!r} twice.")

    return check


def check_fields(where: str, given: Any, checks: dict[str, Check]) -> None:
    """Check the fields of an object.

    Args:
        where: Key of the object.
        given: The object.
        checks: By the name of a field, its check.

    Raises:
        ConfigError: A value is not allowed; the message names its key.
    """
    for name, check in checks.items():
        check(f"{where}.{name}", getattr(given, name))
