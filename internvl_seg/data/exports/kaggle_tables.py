"""What the columns of Kaggle's tables of run lengths are, and which way the runs of a table go.

The columns are those of the competitions' train.csv; the order of the pixels is the one that the decoders of their
public notebooks have, such as "Run Length Decoding - Quick Start" of Sartorius (``img.reshape(shape)``).
"""

import json
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from .export import SourceError
from .fields import is_count
from .picture_index import PictureIndex
from .pictures import Picture
from .run_lengths import mask_of_pairs, whole_numbers

_SEPARATORS = (",", ";", "\t")
_RUNS = ("encodedpixels", "encoded_pixels", "rle_mask", "rle_encoding", "rle", "encoding")
_BOTH = ("image_label", "imageid_classid", "image_id_class_id")
_PICTURES = ("imageid", "image_id", "image", "id", "img", "filename", "file_name", "image_name")
_CLASSES = ("classid", "class_id", "class", "label", "category", "categoryid", "category_id")
_HEIGHTS, _WIDTHS = ("height", "img_height"), ("width", "img_width")
# Of a picture of a scan: 'case123_day20_slice_0001'.
_SLICE = re.compile(r"(case\d+_day\d+)_(slice_\d+)")
# Rows that are looked at to see which way the runs go, pixels of a picture that is, and runs that tell.
_LOOKED_AT = 24
_MOST_PIXELS = 1 << 24
_LEAST_RUNS = 60
# Outlines that are shorter than this part of those in the usual order are no chance.
_SHORTER = 0.5


class _Known(NamedTuple):
    """A competition whose columns are its own."""

    name: str
    columns: frozenset[str]
    runs: str
    value: str
    whole: bool = False


_KNOWN = (
    _Known("Sartorius", frozenset(("id", "annotation", "cell_type")), "annotation", "cell_type"),
    _Known("UW-Madison", frozenset(("id", "class", "segmentation")), "segmentation", "class"),
    _Known("Carvana", frozenset(("img", "rle_mask")), "rle_mask", "", whole=True),
)


class Columns(NamedTuple):
    """Where a table has what.

    Attributes:
        runs: Column of the run lengths.
        picture: Column of the picture's name; None if it is in ``both``.
        value: Column of the class; None if there is one class.
        both: Column of picture, '_' and class; None if they have their own.
        size: Columns of height and width; None if the table does not say them.
        rows_of: The competition whose runs go along the rows; "" for runs down the columns.
    """

    runs: int
    picture: int | None
    value: int | None
    both: int | None
    size: tuple[int, int] | None
    rows_of: str


def columns_of(header: Iterable[str]) -> Columns | None:
    """The columns of a table by its header; None if it is no table of run lengths."""
    names = [name.strip().strip('"').casefold() for name in header]
    height, width = _first(names, _HEIGHTS), _first(names, _WIDTHS)
    size = None if height is None or width is None else (height, width)
    for known in _KNOWN:
        if known.columns == set(names) if known.whole else known.columns <= set(names):
            value = names.index(known.value) if known.value else None
            picture = names.index("img" if known.whole else "id")
            return Columns(names.index(known.runs), picture, value, None, size, known.name)
    runs, both = _first(names, _RUNS), _first(names, _BOTH)
    if runs is None:
        return None
    return Columns(runs, _first(names, _PICTURES), _first(names, _CLASSES), both, size, "")


def header_of(start: bytes) -> tuple[list[str], Columns, str] | None:
    """The names of a table's columns, what they are, and what parts them: a comma, a semicolon or a tab.

    Args:
        start: The first bytes of the file, in UTF-8 or UTF-16.

    Returns:
        None if it is no table of run lengths.
    """
    encoding = json.detect_encoding(start)
    line = re.split(r"[\r\n]", start.decode(encoding, "replace").removeprefix("\ufeff"), maxsplit=1)[0]
    for separator in _SEPARATORS:
        names = line.split(separator)
        if (columns := columns_of(names)) is not None:
            return names, columns, separator
    return None


def _first(names: list[str], wanted: Iterable[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def finder(index: PictureIndex) -> Callable[[str], str | None]:
    """What finds the picture that a table calls by a name.

    UW-Madison's ``case123_day20_slice_0001`` is ``case123_day20/scans/slice_0001_266_266_1.50_1.50.png``, whose name
    says its size and how large a pixel is, too.
    """
    slices: dict[tuple[str, str], str] = {}

    def find(name: str) -> str | None:
        if (parts := _SLICE.fullmatch(name)) is None:
            return index.find(name)
        if not slices:
            for file in index.files:
                path = PurePosixPath(file)
                if start := re.match(r"slice_\d+", path.name):
                    slices.update({(folder, start[0]): file for folder in path.parts[:-1]})
        return slices.get((parts[1], parts[2])) or index.find(name)

    return find


def group_of(name: str) -> str | None:
    """The patient of a picture: 'case123' of 'case123_day20_slice_0001'."""
    return name.partition("_")[0] if _SLICE.fullmatch(name) else None


def are_relative(texts: Iterable[str]) -> bool:
    """Whether starts of runs are counted from the end of the run before, as those of SIIM-ACR Pneumothorax.

    Counted from the first pixel they never fall, as encoders walk along the pixels.

    Args:
        texts: The run lengths of a table's rows.
    """
    several = [text.split()[0::2] for text in texts if text.count(" ") > 2]
    fall = sum(_falls(starts) for starts in several)
    return 2 * fall > len(several)


def _falls(starts: list[str]) -> bool:
    numbers = [int(start) for start in starts if is_count(start)]
    return any(after < before for before, after in pairwise(numbers))


def from_the_first_pixel(text: str, what: str) -> str:
    """Run lengths whose starts are relative as such that count from pixel 1.

    Raises:
        SourceError: They are no pairs of whole numbers.
    """
    numbers = whole_numbers(text, what)
    if numbers.size % 2:
        raise SourceError(f"{what} has {numbers.size} numbers: pairs of first pixel and length were expected.")
    ends = np.cumsum(numbers.reshape(-1, 2).sum(1))
    starts = ends - numbers[1::2] + 1
    return " ".join(f"{start} {length}" for start, length in zip(starts, numbers[1::2], strict=True))


def go_the_other_way(rows: Iterable[tuple[str, str, bool]], index: PictureIndex) -> bool:
    """Whether the objects of a table have much shorter outlines if its runs are read the other way.

    Runs that are read along the rows, and go down the columns, or the reverse, fall apart into lines: unless a picture
    is a square, where both look alike.

    Args:
        rows: Of the table: the picture's file, the run lengths, and whether they are read along the rows.
        index: The pictures.
    """
    given = [row for row in rows if row[1].count(" ") > 2]
    usual = other = runs = 0
    for file, text, along in given[:: max(len(given) // _LOOKED_AT, 1)][:_LOOKED_AT]:
        try:
            with Picture(index.path(file), file) as picture:
                height, width = picture.size
            if height == width or height * width > _MOST_PIXELS:
                continue
            down = mask_of_pairs(text, (height, width), file)
            across = mask_of_pairs(text, (width, height), file).T
        except SourceError:
            continue  # It is told when the picture is converted.
        lengths = [_outline(mask) for mask in ((across, down) if along else (down, across))]
        usual, other, runs = usual + lengths[0], other + lengths[1], runs + (text.count(" ") + 1) // 2
    return runs >= _LEAST_RUNS and other < _SHORTER * usual


def _outline(mask: "np.typing.NDArray[np.bool_]") -> int:
    return int(np.count_nonzero(mask[1:] ^ mask[:-1]) + np.count_nonzero(mask[:, 1:] ^ mask[:, :-1]))
