"""Run lengths as masks: COCO's, those inside a box, and Kaggle's, all at once and checked before memory is taken."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .drawing import Patch
from .export import SourceError

# COCO writes six bits a character, beginning with '0', of which the sixth says that another one follows.
_FIRST_CHARACTER = 48
_LAST_CHARACTER = _FIRST_CHARACTER + 63
_MOST_CHARACTERS = 7  # 35 bits; pycocotools has 32-bit counts.


def coco_mask(segmentation: Any, size: tuple[int, int], what: str) -> NDArray[np.bool_]:
    """A mask from COCO's run lengths, which run down the columns, compressed (text) or not (a list).

    Args:
        segmentation: ``{"size": [height, width], "counts": ...}``, as JSON gives it.
        size: (height, width) of the picture.
        what: The annotation, for errors: "annotation 7 of instances.json".

    Returns:
        (H, W).

    Raises:
        SourceError: The size is not the picture's, or the counts are none.
    """
    stored = segmentation.get("size") if isinstance(segmentation, dict) else None
    if stored != [*size]:
        raise SourceError(
            f"The run lengths of {what} are of size {str(stored)[:60]}, [height, width], but the picture has "
            f"{size[0]} rows and {size[1]} columns. Export with the pictures that were labelled, as they are."
        )
    counts = segmentation.get("counts")
    runs = decode_counts(counts, what) if isinstance(counts, str | bytes) else whole_numbers(counts, what)
    return mask_of_runs(runs, size, what, order="F")


def decode_counts(text: str | bytes, what: str) -> NDArray[np.int64]:
    """Run lengths from COCO's compressed text, as pycocotools' ``rleFrString`` gives them.

    Args:
        text: Five bits a character, lowest first, and the differences to the count before last from the fourth on.
        what: The annotation, for errors.

    Raises:
        SourceError: A character is none of COCO's, or the text ends within a number.
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    codes = np.frombuffer(raw, np.uint8).astype(np.int64)
    if codes.size == 0:
        return codes
    if codes.min() < _FIRST_CHARACTER or codes.max() > _LAST_CHARACTER:
        odd = chr(next(code for code in codes.tolist() if not _FIRST_CHARACTER <= code <= _LAST_CHARACTER))
        raise SourceError(f"The run lengths of {what} hold {odd!r}, which COCO's text never has. Export it again.")
    codes -= _FIRST_CHARACTER
    ends = np.flatnonzero(codes < 32)
    starts = np.concatenate(([0], ends[:-1] + 1)).astype(np.int64)
    if ends.size == 0 or ends[-1] != codes.size - 1 or (ends - starts).max() >= _MOST_CHARACTERS:
        raise SourceError(f"The run lengths of {what} end within a number: the text is cut off. Export it again.")
    place = np.arange(codes.size) - np.repeat(starts, ends - starts + 1)
    counts = np.add.reduceat((codes & 31) << (5 * place), starts)
    counts -= np.where(codes[ends] & 16, np.int64(1) << (5 * (ends - starts + 1)), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def whole_numbers(values: Any, what: str) -> NDArray[np.int64]:
    """Numbers of a JSON list, or of a text with blanks or commas between them.

    Args:
        values: The list or text.
        what: The annotation, for errors.

    Raises:
        SourceError: They are no whole numbers.
    """
    try:
        given = np.array(values.replace(",", " ").split() if isinstance(values, str) else values)
        if given.size == 0:
            return np.zeros(0, np.int64)
        with np.errstate(invalid="ignore"):  # NaN, which is then no whole number.
            whole = given.astype(np.int64)
        right = given.ndim == 1 and (given.dtype.kind in "iuU" or bool((whole == given).all()))
    except (ValueError, TypeError, OverflowError):
        right = False
    if not right or given.dtype.kind not in "iufU":
        raise SourceError(
            f"The run lengths of {what} are {str(values)[:60]!r}: whole numbers were expected. Export it again."
        )
    return whole


def mask_of_runs(
    runs: NDArray[np.int64], size: tuple[int, int], what: str, *, order: str = "C", first: bool = False
) -> NDArray[np.bool_]:
    """A mask from the lengths of runs of pixels that are outside and inside in turn.

    Args:
        runs: The lengths.
        size: (height, width) of the mask: of the picture, or of the object's box (CVAT, Hasty).
        what: The annotation, for errors.
        order: Whether the runs go along the rows, "C" (CVAT, Hasty), or down the columns, "F" (COCO).
        first: Whether the first run is inside (Hasty).

    Raises:
        SourceError: A run is negative, or all together are not as many pixels as the mask has.
    """
    height, width = size
    if (runs < 0).any():
        raise SourceError(f"The run lengths of {what} hold {runs.min()}: none is negative. Export it again.")
    # A wrong run is seen before the sum, which could overflow.
    if (runs > height * width).any() or runs.sum() != height * width:
        total = sum(runs.tolist())
        raise SourceError(
            f"The run lengths of {what} are {total} pixels, but {height} x {width} are {height * width}. "
            "Export with the pictures that were labelled, as they are."
        )
    inside = np.arange(runs.size) % 2 == (0 if first else 1)
    flat = np.repeat(inside, runs)
    return flat.reshape(height, width) if order == "C" else flat.reshape(width, height).T


def box_mask(
    runs: NDArray[np.int64], box: tuple[int, int, int, int], size: tuple[int, int], what: str, *, first: bool = False
) -> Patch:
    """Pixels from row-major runs inside an object's own box, as CVAT and Hasty write them.

    Args:
        runs: The lengths.
        box: (top, left, height, width), in the picture.
        size: (height, width) of the picture.
        what: The annotation, for errors.
        first: Whether the first run is inside (Hasty) or outside (CVAT).

    Raises:
        SourceError: The box is not in the picture, or the runs do not fill it.
    """
    top, left, height, width = box
    if min(box) < 0 or top + height > size[0] or left + width > size[1]:
        raise SourceError(
            f"The mask of {what} is at row {top} and column {left}, {height} x {width}, but the picture has {size[0]} "
            f"rows and {size[1]} columns. Export with the pictures that were labelled, as they are."
        )
    return Patch(top, left, mask_of_runs(runs, (height, width), what, first=first))


def mask_of_pairs(text: str, size: tuple[int, int], what: str) -> NDArray[np.bool_]:
    """A mask from Kaggle's ``EncodedPixels``: first pixel, from 1 and down the columns, and length, in turn.

    Args:
        text: The pairs with blanks between them; empty, ``nan`` or ``-1`` if there is no object.
        size: (height, width) of the picture.
        what: The row, for errors.

    Raises:
        SourceError: They are no pairs, or lead beyond the picture.
    """
    height, width = size
    if text.strip().lower() in ("", "nan", "-1"):
        return np.zeros(size, np.bool_)
    numbers = whole_numbers(text, what)
    if numbers.size % 2:
        raise SourceError(f"{what} has {numbers.size} numbers: pairs of first pixel and length were expected.")
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    pixels = height * width
    wrong = (starts < 0) | (lengths < 0) | (starts > pixels) | (lengths > pixels - np.clip(starts, 0, pixels))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise SourceError(
            f"{what} has a run from pixel {numbers[2 * at]}, {numbers[2 * at + 1]} long; the picture has pixels 1 to "
            f"{pixels} ({height} x {width}). Take the pictures that the table is for, in their own size."
        )
    changes = np.zeros(pixels + 1, np.int32)
    np.add.at(changes, starts, 1)
    np.add.at(changes, starts + lengths, -1)
    inside: NDArray[np.bool_] = np.cumsum(changes[:-1]) > 0
    return inside.reshape(width, height).T
