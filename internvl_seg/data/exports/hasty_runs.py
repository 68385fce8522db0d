"""Masks in Hasty's JSON: run lengths inside the object's box, of one of two kinds."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .export import SourceError
from .fields import as_list, as_mapping, as_whole
from .run_lengths import mask_of_runs, whole_numbers

Runs: TypeAlias = Callable[[Any, tuple[int, int], str], NDArray[np.bool_]]


def reader_of_runs(entries: list[dict[str, Any]], file: str) -> Runs:
    """What reads an export's masks: run lengths, or pairs if all masks are such and not all are run lengths.

    Args:
        entries: The images of an export.
        file: Its name, for errors.

    Raises:
        SourceError: A mask holds no whole numbers, or has no box.
    """
    runs = pairs = True
    for entry in entries:
        where = f"{entry.get('image_name')} in {file}"
        for value in as_list(entry.get("labels") or [], f"'labels' of {where}"):
            label = as_mapping(value, f"a label of {where}")
            if label.get("mask"):
                numbers = whole_numbers(label["mask"], f"a label of {where}")
                _, _, height, width = box_of(label, f"a label of {where}")
                total = height * width
                sane = bool((numbers >= 0).all() and (numbers <= total).all())
                runs = runs and sane and int(numbers.sum()) == total
                pairs = pairs and sane and _are_pairs(numbers, total)
    if pairs and not runs:
        return _mask_of_pairs
    return lambda values, box, what: mask_of_runs(whole_numbers(values, what), box, what, first=True)


def _are_pairs(numbers: NDArray[np.int64], total: int) -> bool:
    if numbers.size % 2:
        return False
    starts, lengths = numbers[0::2], numbers[1::2]
    ends = starts + lengths
    return bool((starts >= 1).all() and (starts[1:] >= ends[:-1]).all() and (ends - 1 <= total).all())


def _mask_of_pairs(values: Any, box: tuple[int, int], what: str) -> NDArray[np.bool_]:
    numbers = whole_numbers(values, what)
    changes = np.zeros(box[0] * box[1] + 1, np.int8)
    np.add.at(changes, numbers[0::2] - 1, 1)
    np.add.at(changes, numbers[0::2] - 1 + numbers[1::2], -1)
    inside: NDArray[np.bool_] = np.cumsum(changes[:-1]) > 0
    return inside.reshape(box)


def box_of(label: dict[str, Any], what: str) -> tuple[int, int, int, int]:
    """Top, left, height and width of a label's box.

    Args:
        label: As JSON gives it.
        what: What it is, for errors.

    Raises:
        SourceError: It has none.
    """
    numbers = as_list(label.get("bbox"), f"'bbox' of {what}")
    if len(numbers) != 4:
        raise SourceError(
            f"The 'bbox' of {what} has {len(numbers)} numbers: left, top, right and bottom were expected."
        )
    left, top, right, bottom = (as_whole(number, f"'bbox' of {what}") for number in numbers)
    return top, left, max(0, bottom - top), max(0, right - left)
