"""Masks of which a picture has several: one a class, or one an object; what is not black is the class or the object."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .export import UNLABELLED, Drawn, Labels, SourceError, Window
from .mask_files import Convert, MaskFile, count_values
from .pictures import Picture

LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
# From this value up a pixel of a lossy file is of the object.
HALF = 128
_LOOKED_AT = 24
_ROWS = 512


def united(parts: Sequence[tuple[int, Path]], base: int = UNLABELLED) -> Labels:
    """Labels that are several masks of two values on each other.

    Args:
        parts: The place of the class and the file of each, in the order in which they are drawn; the last is on top.
        base: What pixels are that are black in all.
    """
    files = [(place, MaskFile(path, _converting(path))) for place, path in parts]

    def labels(size: tuple[int, int], window: Window) -> Drawn:
        ids = np.full((window.height, window.width), base, np.uint8)
        twice = np.zeros(ids.shape, np.bool_)
        for place, file in files:
            mask = file(size, window).ids > 0
            twice |= mask & (ids != place) & (ids != base)
            ids[mask] = place
        return Drawn(ids, int(np.count_nonzero(twice)))

    return labels


def have_two_values(paths: Sequence[Path]) -> bool:
    """Whether some of many masks, spread evenly, are of black and one other value, as far as they can be read."""
    sample = paths[:: max(len(paths) // _LOOKED_AT, 1)][:_LOOKED_AT]
    read = 0
    for path in sample:
        others: set[int] = set()
        with suppress(SourceError), Picture(path, path.name) as mask:
            for top in range(0, mask.size[0], _ROWS):
                part = Window(top, 0, min(_ROWS, mask.size[0] - top), mask.size[1])
                others.update(np.unique(_values(mask, part, path)).tolist())
            read += 1
        if path.suffix.lower() not in LOSSY and len(others - {0}) > 1:
            return False
    return read > 0


def check_two_values(paths: Sequence[Path]) -> None:
    """Refuse masks that hold more than black and one other value, which would be classes or objects of their own.

    Raises:
        SourceError: One does. Masks that cannot be read are errors of their pictures.
    """
    exact = [path for path in paths if path.suffix.lower() not in LOSSY]
    for path, found in count_values(exact, _values):
        if isinstance(found, SourceError):
            continue
        if len(others := sorted(set(found) - {0})) > 1:
            raise SourceError(
                f"{path} holds {len(others)} values beside 0, such as {others[0]} and {others[1]}: a mask of one class "
                "or one object holds 0 and one other. Export it so, or name the folder of masks of ids alone."
            )


def _converting(where: Path) -> Convert:
    def convert(mask: Picture, window: Window) -> NDArray[np.uint8]:
        values = _values(mask, window, where)
        return (values >= HALF if where.suffix.lower() in LOSSY else values != 0).astype(np.uint8)

    return convert


def _values(mask: Picture, window: Window, where: Path) -> NDArray[np.int64]:
    """Black or transparent as 0, what else there is as its number; of colours the highest channel of each pixel."""
    pixels = mask.read(window)
    bands = pixels[:-1] if mask.has_opacity else pixels
    if bands.dtype.kind not in "iub":
        raise SourceError(f"{where} is {bands.dtype}: whole numbers were expected in a mask. Export it again.")
    values: NDArray[np.int64] = bands.max(axis=0).astype(np.int64)
    if mask.has_opacity:
        values[pixels[-1] == 0] = 0
    return values
