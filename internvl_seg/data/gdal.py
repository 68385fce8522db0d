"""GDAL with settings and errors of our own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from ..common.ignored_warnings import ignoring_warnings
from .names import readable

_SETTINGS = {
    # By default GDAL keeps decoded blocks in 5 % of all memory; rows are asked for once, so that a few are enough.
    # Rasterio takes bytes, where GDAL's own setting takes MB.
    "GDAL_CACHEMAX": 64 << 20,
    # Decoding a PNG in one piece passes over the end of a file that is cut short without an error.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": False,
    # Nothing in a file is run, whatever else it may do.
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}
# Formats whose files hold their pixels themselves. Of the others some name files and addresses to read from (VRT, WMS,
# WMTS, GTI, STACTA, PDF, HDF5, ...), which whoever sends a file could have chosen.
_TIFF_AND_JPEG_2000 = ["GTiff", "JP2OpenJPEG", "JP2KAK", "JP2MrSID", "JP2ECW"]
SELF_CONTAINED = [*_TIFF_AND_JPEG_2000, "JPEG", "JPEGXL", "PNG", "GIF", "BIGGIF", "BMP", "WEBP", "HFA", "ENVI", "PNM"]
_REFERS = (
    "may name other files or addresses to read from. If you know where it comes from, allow it: "
    "tools/infer.py --allow-references."
)


class RasterError(RuntimeError):
    """A raster cannot be read as an RGB picture, or not be written."""


def open_raster(path: Path, allow_references: bool = False) -> Any:
    """Open a raster for reading; to be called in :func:`gdal`.

    Args:
        path: The file.
        allow_references: Whether it may be of a format that reads its pixels from other files or the network.

    Raises:
        RasterError: It is of such a format, or reads from other files, and that is not allowed.
        RasterioError: It cannot be read.
    """
    # As a whole path, so that no name is taken for an address or a part of another file.
    where = os.path.abspath(path)
    if allow_references:
        return rasterio.open(where)
    try:
        data = DatasetReader(where, driver=SELF_CONTAINED)
    except RasterioError:
        if _is_text(path):
            raise RasterError(f"{readable(path)} holds no pixels but text that {_REFERS}") from None
        raise
    elsewhere = [file for file in data.files if os.path.dirname(file) != os.path.dirname(where)]
    if elsewhere or "OVERVIEW_FILE" in data.tags(ns="OVERVIEWS"):
        data.close()
        raise RasterError(f"{readable(path)} {_REFERS}")
    return data


def _is_text(path: Path) -> bool:
    """Whether a file is XML or JSON, as the formats are that refer to others."""
    try:
        with path.open("rb") as file:
            return file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{", b"[")
    except OSError:
        return False


@contextmanager
def gdal(complaint: str) -> Iterator[None]:
    """A block in which rasterio may be called.

    Args:
        complaint: What an error means to the user, with the file's name.

    Raises:
        RasterError: Rasterio raised an error; the message is the complaint and what GDAL says.
    """
    with ignoring_warnings(NotGeoreferencedWarning), rasterio.Env(**_SETTINGS):
        try:
            yield
        except (RasterioError, CPLE_BaseError) as error:  # Some of its functions pass GDAL's own errors on.
            raise RasterError(f"{complaint}: {error.__cause__ or error}") from error
