"""Fonts for names in any script, as far as one that has their letters is installed."""

import functools
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

Font = ImageFont.FreeTypeFont
# Have a picture for every letter there is, of a box with its number.
_NO_LETTERS = ("lastresort", "unifont_upper", "adobeblank")
_MOST_FONTS = 500


def find_font(text: str, size: int) -> Font | None:
    """A font that has all letters of a text: matplotlib's own, or else one of the system's.

    Args:
        text: The text.
        size: Of the letters, in pixels.

    Returns:
        The font; None if no single one has all of them.
    """
    needed = frozenset(ord(letter) for letter in text if not _is_blank(letter))
    path = _path_for(needed)
    return None if path is None else _font(path, size)


def _is_blank(letter: str) -> bool:
    """Whether nothing is drawn for it: blanks, joiners and marks of direction."""
    return letter.isspace() or unicodedata.category(letter) == "Cf"


@functools.lru_cache(4096)
def _path_for(needed: frozenset[int]) -> str | None:
    return next((path for path in _paths() if needed <= _letters(path)), None)


def _paths() -> Iterator[str]:
    yield str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    yield from _of_system()


@functools.cache
def _of_system() -> tuple[str, ...]:
    from matplotlib.font_manager import findSystemFonts  # Takes a second the first time.

    found = sorted(findSystemFonts())  # OpenType, too.
    named = [path for path in found if not any(name in path.lower() for name in _NO_LETTERS)]
    # Upright letters of the usual weight first.
    named.sort(key=lambda path: any(word in path.lower() for word in ("bold", "italic", "oblique", "light", "mono")))
    return tuple(named[:_MOST_FONTS])


@functools.cache
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):  # Of a kind that is not read.
        return frozenset()


@functools.lru_cache(64)
def _font(path: str, size: int) -> Font:
    return ImageFont.truetype(path, size)
