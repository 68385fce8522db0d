"""Maps of class ids too large for memory, written in parts through GDAL, with the place of the picture."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from ..data.gdal import gdal
from ..data.names import readable
from ..data.writing import whole_file
from .raster_reader import RasterReader

_BLOCK = 256


class LabelWriter:
    """A tiled and compressed GeoTIFF of class ids, with the classes' colours if its ids are of 8 bits.

    It is written some rows at a time, lies where another raster does and gets its name when it is whole. Threads may
    not share it: one writes a file.

    Args:
        path: The file; its folder is made if need be, and a file that is there is replaced.
        like: The raster whose size and georeference it takes.
        num_classes: Number of classes. Ids are of 8 bits if 256 are enough for them and for ``ignored``, else of 16.
        palette: RGB, 0 to 255, of every class.

    Attributes:
        dtype: Of the ids.
        ignored: The id of pixels that are no part of the picture, 255 or 65535. If ``like`` is masked, the file says
            that it stands for no data; to write it there is left to the caller.
    """

    def __init__(
        self, path: str | os.PathLike[str], like: RasterReader, num_classes: int, palette: Sequence[Sequence[int]]
    ) -> None:
        self._path, self._like, self._palette = Path(path), like, palette
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if num_classes + like.masked <= 256 else np.uint16)
        self.ignored = int(np.iinfo(self.dtype).max)
        self._band = np.empty((_BLOCK, like.width), self.dtype)
        self._next = 0

    def __enter__(self) -> "LabelWriter":
        layout = {"driver": "GTiff", "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate"}
        size = {"count": 1, "height": self._like.height, "width": self._like.width, "dtype": self.dtype}
        place = {**self._like.georeference(), "nodata": self.ignored if self._like.masked else None}
        with ExitStack() as stack:
            self._temporary = temporary = stack.enter_context(whole_file(self._path))
            with gdal(f"{readable(self._path)} cannot be written"):
                self._data = rasterio.open(temporary, "w", **layout, **size, **place, bigtiff="IF_SAFER")
                stack.push(self._close)
                if self.dtype == np.uint8:
                    self._data.write_colormap(1, {i: (*colour, 255) for i, colour in enumerate(self._palette)})
            self._stack = stack.pop_all()
        return self

    def write(self, start: int, labels: NDArray[Any]) -> None:
        """Write the next rows.

        Args:
            start: First row: where the last call ended.
            labels: Class ids, (rows, W), of a dtype whose values all fit.

        Raises:
            ValueError: Rows are left out, given twice or of another width.
            TypeError: The ids may be too large.
            RasterError: The file cannot be written.
        """
        if start != self._next or labels.shape[1] != self._like.width or start + len(labels) > self._like.height:
            raise ValueError(
                f"Labels {labels.shape} were given from row {start} on, but {self._next} is the next of "
                f"{self._like.height}, of {self._like.width} pixels each."
            )
        while len(labels):
            first = self._next % _BLOCK
            part, labels = labels[: _BLOCK - first], labels[_BLOCK - first :]
            np.copyto(self._band[first : first + len(part)], part, casting="safe")
            self._next += len(part)
            # A row of blocks that is written in parts could be compressed as often.
            if self._next % _BLOCK == 0 or self._next == self._like.height:
                rows = self._band[: first + len(part)]
                with gdal(f"{readable(self._path)} cannot be written"):
                    self._data.write(rows, 1, window=self._window(self._next - len(rows)))

    def _window(self, start: int) -> Window:
        return Window(0, start, self._like.width, min(_BLOCK, self._like.height - start))

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        with gdal(f"{readable(self._path)} cannot be written"):
            self._data.close()
            if kind is not None:
                return
            if self._next < self._like.height:
                raise ValueError(f"{self._path}: only {self._next} of {self._like.height} rows were written.")
            # Of what fails when the last blocks are written, as on a full disk, GDAL tells nothing until they are read.
            with rasterio.open(self._temporary) as data:
                for start in range(0, self._like.height, _BLOCK):
                    data.read(1, window=self._window(start))

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
