"""Which bands of a raster are red, green and blue, and what their values mean."""

import os
import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from ..data.gdal import RasterError
from ..data.names import readable

_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_NO_RGB = {
    "CMYK": (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black),
    "YCbCr": (ColorInterp.Y, ColorInterp.Cb, ColorInterp.Cr),
    "HSL": (ColorInterp.hue, ColorInterp.saturation, ColorInterp.lightness),
}
_HEADER = 1 << 16
_RGB_OR_GREY = (16, 17)


class Bands(NamedTuple):
    """The bands of a raster that make an RGB picture.

    Attributes:
        numbers: Of three bands, red, green and blue, or of one; from 1 up.
        guessed: Whether there are more bands, and none is said to be red, green or blue.
        table: Of one band, RGB of every value, (256, 3); None for grey as it is.
    """

    numbers: list[int]
    guessed: bool
    table: NDArray[np.uint8] | None


def choose_bands(data: Any) -> Bands:
    """Find the colours of a raster.

    Those are its bands that it calls red, green and blue, or else its first three that are not transparency; of fewer,
    and of colours by number, the first.

    Args:
        data: The open raster.

    Raises:
        RasterError: It has no bands, none of 8 bits, or colours of another kind.
    """
    name, kinds = readable(data.name), list(data.colorinterp)
    if space := _other_space(data, kinds):
        raise RasterError(f"{name} has the colours of {space}; a picture has red, green and blue. Convert it to RGB.")
    colours = [i for i, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    if all(kind in kinds for kind in _RGB):
        numbers = [kinds.index(kind) + 1 for kind in _RGB]
    elif len(colours) >= 3 and kinds[0] != ColorInterp.palette:
        numbers = colours[:3]
    else:
        numbers = colours[:1]
    if data.driver in ("GIF", "BIGGIF") and (canvas := _canvas_of_gif(data)) != (data.width, data.height):
        raise RasterError(
            f"{name} has a first frame of {data.width} x {data.height} pixels on a canvas of {canvas[0]} x "
            f"{canvas[1]}. Convert it, such as to PNG."
        )
    types = {data.dtypes[band - 1] for band in numbers}
    if types != {"uint8"}:
        raise RasterError(
            f"{name} is {' and '.join(sorted(types)) or 'without bands'}; a picture has 8 bits a channel. "
            "Convert it, such as by gdal_translate -ot Byte -scale."
        )
    guessed = len(numbers) == 3 < len(colours) and not any(kind in kinds for kind in _RGB)
    return Bands(numbers, guessed, _table(data, numbers))


def _canvas_of_gif(data: Any) -> tuple[int, int]:
    with open(data.name, "rb") as file:
        width, height = struct.unpack("<6xHH", file.read(10))
    return width, height


def _other_space(data: Any, kinds: list[ColorInterp]) -> str | None:
    """The colour space of a raster of which GDAL does not make RGB; None if it does."""
    for name, bands in _NO_RGB.items():
        if any(band in kinds for band in bands):
            return name
    if data.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") == "CIELAB":
        return "CIELAB"
    if data.driver.startswith("JP2") and os.path.isfile(data.name):
        with open(data.name, "rb") as file:
            head = file.read(_HEADER)
        # A box of type 'colr' and its method 1: a number for the space.
        if (box := head.find(b"colr\x01")) >= 0 and len(head) >= box + 11:
            (number,) = struct.unpack_from(">I", head, box + 7)
            return None if number in _RGB_OR_GREY else f"JPEG 2000's number {number} (12 is CMYK, 18 YCbCr)"
    return None


def _table(data: Any, numbers: list[int]) -> NDArray[np.uint8] | None:
    """RGB of every value of colours by number, of fewer than 8 bits, or with white as 0, (256, 3)."""
    table = np.zeros((256, 3), np.uint8)
    bits = int(data.tags(numbers[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
    if data.colorinterp[numbers[0] - 1] == ColorInterp.palette:
        try:
            colours = data.colormap(numbers[0])
        except ValueError as error:
            raise RasterError(f"{readable(data.name)} has colours by number but no table of them: {error}.") from error
        for index, colour in colours.items():
            table[index] = colour[:3]
        return table
    if bits < 8:
        table[: 2**bits] = np.linspace(0, 255, 2**bits, dtype=np.uint8)[:, None]
        if len(numbers) == 3:
            raise RasterError(
                f"{readable(data.name)} has {bits} bits a channel; a picture has 8. Convert it, such as by "
                f"gdal_translate -ot Byte -scale 0 {2**bits - 1} 0 255 -co NBITS=8."
            )
    elif data.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES" and len(numbers) == 1:
        table[:] = np.arange(255, -1, -1, dtype=np.uint8)[:, None]
    else:
        return None
    return table
