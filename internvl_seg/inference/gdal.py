"""GDAL with settings and errors of our own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

_SETTINGS = {
    # By default GDAL keeps decoded blocks in 5 % of all memory; rows are asked for once, so that a few are enough.
    # Rasterio takes bytes, where GDAL's own setting takes MB.
    "GDAL_CACHEMAX": 64 << 20,
    # Decoding a PNG in one piece passes over the end of a file that is cut short without an error.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": False,
}


class RasterError(RuntimeError):
    """A raster cannot be read as an RGB picture, or not be written."""


@contextmanager
def gdal(complaint: str) -> Iterator[None]:
    """A block in which rasterio may be called.

    Args:
        complaint: What an error means to the user, with the file's name.

    Raises:
        RasterError: Rasterio raised an error; the message is the complaint and what GDAL says.
    """
    with warnings.catch_warnings(), rasterio.Env(**_SETTINGS):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            yield
        except RasterioError as error:
            raise RasterError(f"{complaint}: {error.__cause__ or error}") from error
