"""Rows of a raster, of which each is decoded once."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

# Read at once. GDAL's cache has to hold it several times: it gives a window line by line and band by band.
_PIECE = 1 << 24


class RasterRows:
    """Gives rows that are asked for from top to bottom, in ranges that may overlap.

    Formats without random access, such as PNG, begin anew at the top for a row that they have passed, and a block is
    decoded as a whole for any row of it. So rows are read to the end of their block, and those from the last call's
    first one on are kept.

    Args:
        size: Height and width of the raster, in pixels.
        block: Height and width of a block of the file, in pixels.
        bytes_per_pixel: Of the file, all of its bands together.
        read: Gives the pixels of a window, (h, w, ...).
    """

    def __init__(
        self,
        size: tuple[int, int],
        block: tuple[int, int],
        bytes_per_pixel: int,
        read: Callable[[Window], NDArray[Any]],
    ) -> None:
        (self._height, self._width), self._block, self._read = size, block[0], read
        self._rows_at_once = block[0] * max(_PIECE // (bytes_per_pixel * block[0] * self._width), 1)
        self._columns_at_once = block[1] * max(_PIECE // (bytes_per_pixel * block[0] * block[1]), 1)
        self._kept: list[tuple[int, NDArray[Any]]] = []
        self._next = 0

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Give rows, (stop - start, W, ...); rows above those of the last call are decoded again.

        Args:
            start: First row.
            stop: The row after the last.

        Raises:
            ValueError: The raster has no such rows.
        """
        if not 0 <= start < stop <= self._height:
            raise ValueError(f"Rows {start} to {stop} were asked for; the raster has {self._height}.")
        self._kept = [(first, piece) for first, piece in self._kept if first + len(piece) > start]
        if not self._kept or self._kept[0][0] > start:
            self._kept, self._next = [], start // self._block * self._block
        end = min(-(-stop // self._block) * self._block, self._height)
        while self._next < end:
            piece = self._decode(self._next, min(self._next + self._rows_at_once, end))
            self._kept.append((self._next, piece))
            self._next += len(piece)
        return np.concatenate([piece[max(start - first, 0) : max(stop - first, 0)] for first, piece in self._kept])

    def _decode(self, start: int, stop: int) -> NDArray[Any]:
        step = self._columns_at_once
        windows = (Window(x, start, min(step, self._width - x), stop - start) for x in range(0, self._width, step))
        return np.concatenate([self._read(window) for window in windows], axis=1)
