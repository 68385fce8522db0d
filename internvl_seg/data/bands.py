"""Pictures of any number of bands and bits, read through GDAL as they are in their files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import fileio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window

from ..common.words import counted
from .gdal import SELF_CONTAINED, RasterError, gdal, open_raster
from .names import readable
from .own_words import OwnWordsError

# Up to which float32 holds every whole number.
_EXACT = 1 << 24
_SMALL = ("uint8", "int8", "uint16", "int16", "float16", "float32", "float64")
_WHOLE = ("int32", "uint32", "int64", "uint64")


class ImageError(OwnWordsError):
    """An image cannot be read as the config says; the message names it and what to set."""


class PagesError(ImageError):
    """A file holds pages that nothing would read."""


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def check_bands(bands: object, no_data: object = None) -> None:
    """Check which bands are asked for.

    Raises:
        ValueError: They are no list of numbers from 1 on, each once, or ``no_data`` is no number.
    """
    numbers = bands if isinstance(bands, Sequence) and not isinstance(bands, str) else ()
    whole = [band for band in numbers if isinstance(band, int) and not isinstance(band, bool) and band > 0]
    if not numbers or len(whole) != len(numbers) or len(set(whole)) != len(whole):
        raise ValueError(
            f"bands={bands!r} of LoadImageFromFile: expected the numbers of bands, each once, counted from 1 as GDAL "
            "counts them, such as [1, 2, 3, 4]."
        )
    if no_data is not None and not _is_number(no_data):
        raise ValueError(
            f"no_data={no_data!r} of LoadImageFromFile: expected a number, which pixels without data become, or None."
        )


@dataclass(frozen=True)
class BandReader:
    """Reads chosen bands of files, in their order, as float32.

    Values are those of the file: no scale, no offset and no colour table is applied, and the picture lies as it lies
    in the file, as its mask does. Threads may share it.

    Attributes:
        bands: Their numbers, from 1 up.
        no_data: What pixels become that the file says hold no data, or that are not finite; an error if None.
    """

    bands: tuple[int, ...]
    no_data: float | None = None

    @classmethod
    def read_step(cls, step: Any) -> "BandReader | None":
        """The reader that a ``LoadImageFromFile`` of a config asks for; None if it asks for no bands.

        Raises:
            ValueError: What it asks for cannot be.
        """
        bands, no_data = step.get("bands"), step.get("no_data")
        if bands is None:
            return None
        check_bands(bands, no_data)
        return cls(tuple(bands), None if no_data is None else float(no_data))

    def check(self, data: Any, name: str) -> None:
        """Check that an open raster has these bands, of numbers that float32 holds, on one page.

        Raises:
            ImageError: It has not.
        """
        check_pages(data, name)
        if max(self.bands) > data.count:
            raise ImageError(
                f"{name} has {count_bands(data.count)}, but the pipeline asks for bands={list(self.bands)}. Set bands "
                "of LoadImageFromFile to what all files have, or take this one out."
            )
        for band in self.bands:
            if (kind := data.dtypes[band - 1]) not in (*_SMALL, *_WHOLE):
                raise ImageError(f"Band {band} of {name} holds numbers of type {kind}, which no image has.")

    def read(self, data: Any, name: str, window: Window | None = None, **options: Any) -> "Pixels":
        """Read a part of an open raster.

        Args:
            data: The raster, of which :meth:`check` was asked; in :func:`internvl_seg.data.gdal.gdal`.
            name: Of the file, for errors.
            window: The part; all if None.
            **options: Others of rasterio's ``read``.

        Raises:
            ImageError: Pixels hold no data and ``no_data`` is not set, or float32 does not hold them.
        """
        kinds = [data.dtypes[band - 1] for band in self.bands]
        stored = data.read(list(self.bands), window=window, out_dtype=np.result_type(*kinds), **options)
        there = np.ones(stored.shape[1:], np.bool_)
        if stored.dtype.kind == "f":
            there &= np.isfinite(stored).all(0)
        for band in self.bands:
            flags = data.mask_flag_enums[band - 1]
            # Transparency is a band like the others, which may be asked for.
            if MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags:
                shape = {"out_shape": stored.shape[1:]} if "out_shape" in options else {}
                there &= data.read_masks(band, window=window, **shape) > 0
        if self.no_data is None and not there.all():
            raise self._no_data(stored, there, name)
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(np.moveaxis(stored, 0, -1)).astype(np.float32)
        if any(kind in _WHOLE for kind in kinds):
            inexact = np.moveaxis((stored > _EXACT) | (stored < -_EXACT), 0, -1) & there[..., None]
        else:
            inexact = ~np.isfinite(values) & there[..., None]
        if inexact.any():
            row, column, band = np.argwhere(inexact)[0]
            raise ImageError(
                f"{name}: band {self.bands[band]} holds {stored[band, row, column]}, which float32 does not hold. "
                "Scale the band, such as by gdal_translate -ot Float32 -scale."
            )
        if self.no_data is not None:
            values[~there] = self.no_data
        return Pixels(values, there)

    def _no_data(self, stored: NDArray[Any], there: NDArray[np.bool_], name: str) -> ImageError:
        row, column = np.argwhere(~there)[0]
        found = ", ".join(f"{value:g}" for value in stored[:, row, column].tolist())
        count = counted(int((~there).sum()), "pixel holds", "pixels hold")
        return ImageError(
            f"{name}: {count} no data, the first in row {row}, column {column}, with "
            f"{found} in bands {list(self.bands)}. Set no_data=VALUE of LoadImageFromFile to what they shall become, "
            "such as the mean of the bands."
        )

    def read_file(self, path: str, backend_args: dict[str, Any] | None = None) -> "Pixels":
        """Read a file, or one that MMEngine's ``fileio`` reaches, such as in an archive.

        Raises:
            ImageError: It cannot be read, has no such bands, or pixels without data.
        """
        with opened(path, backend_args) as data:
            self.check(data, readable(path))
            return self.read(data, readable(path))

    def of_array(self, array: Any) -> NDArray[np.float32]:
        """An array (H, W, bands), or (H, W) of one band, of any numbers, as float32.

        Raises:
            ImageError: It is of another shape, or holds what float32 does not hold.
        """
        array = np.asarray(array)
        array = array[..., None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[-1] != len(self.bands) or not array.size:
            raise ImageError(
                f"An array is {array.shape}; the model takes (H, W, {len(self.bands)}), "
                f"in the order of bands={list(self.bands)} of its pipeline."
            )
        if str(array.dtype) not in (*_SMALL, *_WHOLE):
            raise ImageError(f"An array is of {array.dtype}; a picture has numbers.")
        with np.errstate(over="ignore"):
            values: NDArray[np.float32] = array.astype(np.float32)
        finite = np.isfinite(values)
        if self.no_data is not None:
            values[~finite.all(-1)] = self.no_data
        elif not finite.all():
            raise ImageError("An array holds NaN or infinity. Set no_data=VALUE of LoadImageFromFile in the config.")
        if str(array.dtype) in _WHOLE and ((array > _EXACT) | (array < -_EXACT)).any():
            raise ImageError(f"An array holds whole numbers above {_EXACT}, which float32 does not hold. Scale it.")
        return values


@dataclass(frozen=True)
class Pixels:
    """Pixels of some bands.

    Attributes:
        values: (H, W, bands) float32.
        there: Which hold data, (H, W).
    """

    values: NDArray[np.float32]
    there: NDArray[np.bool_]


def check_pages(data: Any, name: str) -> None:
    """Check that an open raster is all that its file holds, but for smaller copies and masks of it.

    Raises:
        PagesError: There are other pages, which nothing would read.
    """
    if data.driver == "GTiff" and (pages := len(data.subdatasets)) > 1:
        raise PagesError(
            f"{name} holds {pages} pages, of which only the first would be read. Save them as bands of one page "
            "(gdalbuildvrt -separate, then gdal_translate), or the first alone: gdal_translate IN OUT.tif."
        )


def count_bands(count: int) -> str:
    """A number of bands, in words."""
    return f"{count} band{'s' * (count != 1)}"


@contextmanager
def opened(path: str, backend_args: dict[str, Any] | None = None, content: bytes | None = None) -> Iterator[Any]:
    """A file as a raster, read safely: of a format that holds its pixels itself.

    Args:
        path: The file, or its address for MMEngine's ``fileio``.
        backend_args: Of the latter.
        content: Its bytes, if they are there.

    Raises:
        ImageError: It is none.
    """
    name = readable(path)
    try:
        with gdal(f"{name} cannot be read"):
            if content is None and backend_args is None and "://" not in path:
                with open_raster(Path(path)) as data:
                    yield data
                return
            content = fileio.get(path, backend_args=backend_args) if content is None else content
            with MemoryFile(content) as memory, DatasetReader(memory.name, driver=SELF_CONTAINED) as data:
                yield data
    except RasterError as error:
        refers = "--allow-references" in str(error)
        raise ImageError(f"{error}{' For training, make a file of it: gdal_translate IN OUT.tif.' * refers}") from error


def describe(data: Any) -> str:
    """What an open raster holds: bands, bits and colours."""
    kinds = list(dict.fromkeys(data.dtypes))
    colours = [kind.name for kind in data.colorinterp]
    known = "" if set(colours) <= {"undefined", "gray"} else f" ({', '.join(colours)})"
    bits = " and ".join(f"{8 * np.dtype(kind).itemsize} bits ({kind})" for kind in kinds)
    return f"{count_bands(data.count)}{known} of {bits}"


def is_rgb(data: Any) -> bool:
    """Whether an open raster is grey, colours by number, or RGB, with or without transparency, of up to 8 bits."""
    colours = [kind for kind in data.colorinterp if kind != ColorInterp.alpha]
    return set(data.dtypes) == {"uint8"} and (len(colours) in (1, 3) or ColorInterp.cyan in colours)
