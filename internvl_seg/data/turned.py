"""Rasters that their camera says are to be turned, as other pictures are."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

# Pillow's names of GDAL's formats that may hold EXIF.
_FORMATS = {"JPEG": "JPEG", "PNG": "PNG", "GTiff": "TIFF", "WEBP": "WEBP"}
_ROWS = 256


def read_orientation(path: Path, driver: str) -> int:
    """What EXIF or XMP says of how a file's pixels lie, from 1, as they are to be seen, to 8; 1 if it says nothing.

    Args:
        path: The file, of which no pixels are read.
        driver: GDAL's name of its format.
    """
    if driver not in _FORMATS:
        return 1
    Image.init()
    try:
        # Not by Image.open, which refuses large pictures.
        with path.open("rb") as file, Image.OPEN[_FORMATS[driver]][0](file, str(path)) as picture:
            if driver == "PNG" and (exif := _exif_of_png(path)):
                picture.info["exif"] = b"Exif\0\0" + exif
            # Pillow's method for PNG would decode all of the picture to see what comes after it.
            found = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
    except Exception:  # What GDAL reads may be no picture to Pillow, which raises what it likes.
        return 1
    return found if found in range(1, 9) else 1


def _exif_of_png(path: Path) -> bytes | None:
    """The EXIF of a PNG, which may come after the pixels."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return file.read(length)
            file.seek(length + 4, 1)
    return None


def swaps_sides(orientation: int) -> bool:
    """Whether height and width change places."""
    return orientation >= 5


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W, ...) as they are to be seen; a view."""
    if swaps_sides(orientation):
        pixels = pixels.swapaxes(0, 1)
    # Of those whose sides change places, 5 is done; 6 is then to be mirrored, 7 both, 8 to be put upside down.
    upside_down, mirrored = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


class TurnedRows:
    """Rows of a raster that is turned: all of it is decoded and kept at the first call.

    Args:
        rows: Gives the rows from a first one to a last one (not included), (rows, W, ...), before they are turned.
        height: How many there are.
        orientation: As of :func:`read_orientation`.
    """

    def __init__(self, rows: Callable[[int, int], NDArray[Any]], height: int, orientation: int) -> None:
        self._rows, self._height, self._orientation = rows, height, orientation
        self._whole: NDArray[Any] | None = None

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Give rows of the turned raster, (stop - start, W, ...)."""
        if self._whole is None:
            first = self._rows(0, min(_ROWS, self._height))
            whole = np.empty((self._height, *first.shape[1:]), first.dtype)
            whole[: len(first)] = first
            for row in range(len(first), self._height, _ROWS):
                whole[row : row + _ROWS] = self._rows(row, min(row + _ROWS, self._height))
            self._whole = turn(whole, self._orientation)
        if not 0 <= start < stop <= len(self._whole):
            raise ValueError(f"Rows {start} to {stop} were asked for; the raster has {len(self._whole)}.")
        return np.ascontiguousarray(self._whole[start:stop])
