"""What is written after ``--cfg-options``."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import DictAction

_QUOTES = ("'", '"')
_OPENING, _CLOSING = "([", ")]"


class OptionAction(DictAction):
    """MMEngine's ``DictAction``, which takes all blanks out of values, but that names and paths keep theirs.

    In quotes, text may hold commas and brackets, too. Threads may share it.
    """

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        return _parse(val)


def _parse(text: str) -> Any:
    text = text.strip()
    quoted = _unquoted(text)
    if quoted is not None:
        # As in MMEngine, whole lists and numbers may be in quotes.
        if not _is_list(quoted):
            return quoted if "," in quoted else _scalar(quoted)
        text = quoted
    if _is_list(text):
        values = [_parse(part) for part in _parts(text[1:-1])]
        return tuple(values) if text.startswith("(") else values
    if "," in text and ((parts := _parts(text)) != [text]):
        return [_parse(part) for part in parts]
    return _scalar(text.strip("".join(_QUOTES)))


def _scalar(text: str) -> Any:
    return DictAction._parse_int_float_bool(text)


def _unquoted(text: str) -> str | None:
    """What is in the quotes that all of a text stands in; None if it does not."""
    if len(text) > 1 and text[0] in _QUOTES and text.find(text[0], 1) == len(text) - 1:
        return text[1:-1]
    return None


def _is_list(text: str) -> bool:
    """Whether a text is in brackets of which the first and the last belong together."""
    if text[:1] not in tuple(_OPENING) or text[-1:] != _CLOSING[_OPENING.index(text[0])]:
        return False
    return all(depth > 0 for _, depth in list(_depths(text))[:-1])


def _depths(text: str) -> Iterator[tuple[str, int]]:
    """Every character, and in how many brackets the next one is; in quotes nothing is a bracket or a comma."""
    depth, quote = 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
            character = "_"
        elif character in _QUOTES and character in text[place + 1 :]:
            quote = character
        depth += (character in _OPENING) - (character in _CLOSING)
        yield character, depth


def _parts(text: str) -> list[str]:
    """A text cut at the commas that are in no brackets and no quotes; nothing may be after the last."""
    depths = list(_depths(text))
    if not text or depths[-1][1] or any(depth < 0 for _, depth in depths):
        if text:
            raise ValueError(f"Imbalanced brackets exist in {text}")
        return []
    places = [place for place, (character, depth) in enumerate(depths) if character == "," and not depth]
    parts = [text[start + 1 : end] for start, end in zip([-1, *places], [*places, len(text)], strict=True)]
    return parts[:-1] if not parts[-1].strip() else parts
