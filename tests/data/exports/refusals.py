"""Calls that may be refused."""

from collections.abc import Callable
from typing import TypeVar

from internvl_seg.data.exports.export import SourceError

Value = TypeVar("Value")


def refusal(call: Callable[[], Value]) -> tuple[Value | None, str]:
    """What a call gives, and the words in which it was refused, empty if it was not."""
    try:
        return call(), ""
    except SourceError as error:
        return None, str(error)
