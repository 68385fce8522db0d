"""A legend below a page of pictures."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

from ..data.names import readable
from .fonts import Font, find_font

_SIZE, _LINE, _PATCH, _GAP, _BETWEEN = 14, 22, 16, 6, 18
# What one name may take at most: so many pixels, or this share of a line if that is more.
_WIDEST, _SHARE = 250, 0.3
# Before letters that are written from right to left: the id stays on the left.
_FROM_LEFT = "\u200e"


class Entry(NamedTuple):
    """A line of a legend.

    Attributes:
        text: What the colour means.
        colour: RGB; None for an empty patch.
        instead: What is written where no font has the letters of the text; these as numbers if it is empty.
    """

    text: str
    colour: tuple[int, int, int] | None
    instead: str = ""


def draw_legend(page: Image.Image, entries: Sequence[Entry], margin: int) -> Image.Image:
    """A page with a legend below it, in as many columns as fit; names that are too long are shortened.

    Args:
        page: The page.
        entries: What is in the legend, from left to right and then down.
        margin: Around it, in pixels.
    """
    pen = ImageDraw.Draw(page)
    room = page.width - 2 * margin
    most = max(min(room, max(_WIDEST, int(room * _SHARE))) - _PATCH - _GAP, 1)
    written = [_fitted(entry, most, pen) for entry in entries]
    width = _PATCH + _GAP + max(int(pen.textlength(text, font)) + 1 for text, font in written) + _BETWEEN
    columns = max(min((room + _BETWEEN) // width, len(entries)), 1)
    rows = -(-len(entries) // columns)
    whole = Image.new("RGB", (page.width, page.height + rows * _LINE + margin), "white")
    whole.paste(page)
    pen = ImageDraw.Draw(whole)
    for i, (entry, (text, font)) in enumerate(zip(entries, written, strict=True)):
        left, top = margin + i % columns * width, page.height + i // columns * _LINE
        patch = (left, top, left + _PATCH - 1, top + _PATCH - 1)
        pen.rectangle(patch, fill=entry.colour or "white", outline="grey")
        pen.text((left + _PATCH + _GAP, top + _PATCH // 2), text, fill="black", font=font, anchor="lm")
    return whole


def _fitted(entry: Entry, most: int, pen: ImageDraw.ImageDraw) -> tuple[str, Font]:
    """What is written, as wide as there is room, and its font."""
    text = readable(entry.text)
    font = find_font(text + "…", _SIZE)
    if font is None:
        text = readable(entry.instead) or text
        text = text if find_font(text + "…", _SIZE) else text.encode("ascii", "backslashreplace").decode()
        font = find_font(text + "…", _SIZE)
    assert font is not None  # All of them have ASCII.
    if pen.textlength(text, font) > most:
        while len(text) > 1 and pen.textlength(text + "…", font) > most:
            text = text[: -max(len(text) // 50, 1)]
        text += "…"
    turns = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return _FROM_LEFT * turns + text, font
