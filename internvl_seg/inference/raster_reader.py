"""Pictures too large for memory, read in parts through GDAL."""

import os
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.windows import Window

from ..data.band_pictures import draw_bands
from ..data.bands import BandReader, Pixels
from ..data.gdal import RasterError, gdal, open_raster
from ..data.names import readable
from ..data.turned import TurnedRows, read_orientation, swaps_sides, turn
from .raster_bands import choose_bands
from .raster_rows import RasterRows

# A block of a file is decoded as a whole.
_LARGEST_BLOCK = 2 << 30
_LARGEST_TURNED = 1 << 30
# Of formats that GDAL reads and that may say where on Earth they are.
RASTER_SUFFIXES = frozenset({".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".img"})


class RasterReader:
    """A picture of any size of which some rows at a time are read.

    Its colours are the bands that :func:`internvl_seg.inference.raster_bands.choose_bands` finds; others are left out.
    A picture that its camera says is to be turned is read as it is to be seen, unless it has a place on Earth. With a
    ``reader`` it has the bands that this one asks for, as they lie in the file. Threads may not share it: each opens
    its own.

    Args:
        path: File in any format that GDAL reads and that holds its pixels itself.
        allow_references: Whether it may be of a format that reads its pixels from other files or the network, as VRT.
        reader: Of bands; None for RGB.

    Attributes:
        path: The file.
        height: In pixels.
        width: In pixels.
        georeferenced: Whether the file says where on Earth it is.
        guessed: Whether the first three of more bands are taken for red, green and blue, which the file does not say.
        masked: Whether the file says that pixels are no part of the picture: by transparency, a value or a mask.

    Raises:
        RasterError: It is no raster, not of 8 bits a channel, or reads from elsewhere, which is not allowed.
    """

    def __init__(
        self, path: str | os.PathLike[str], allow_references: bool = False, reader: BandReader | None = None
    ) -> None:
        self.path = Path(path)
        self._reader = reader
        with ExitStack() as stack, gdal(f"{readable(self.path)} cannot be read as a raster"):
            self._data = stack.enter_context(open_raster(self.path, allow_references))
            if reader is None:
                self._bands, self.guessed, self._table = choose_bands(self._data)
            else:
                reader.check(self._data, readable(self.path))
                self._bands, self.guessed, self._table = list(reader.bands), False, None
            self.georeferenced = any(value for value in self.georeference().values())
            self.masked = any(MaskFlags.all_valid not in self._data.mask_flag_enums[band - 1] for band in self._bands)
            if reader is not None:  # It raises an error at pixels without data, or tells them.
                self.masked = reader.no_data is not None
            # A georeference is one of the pixels as they lie in the file.
            fixed = self.georeferenced or reader is not None
            self._turned = 1 if fixed else read_orientation(self.path, self._data.driver)
            size = self._data.height, self._data.width
            self.height, self.width = size[::-1] if swaps_sides(self._turned) else size
            if self._turned > 1 and (needed := 3 * prod(size)) > _LARGEST_TURNED:
                raise RasterError(
                    f"{readable(self.path)} has to be turned (EXIF orientation {self._turned}), which takes all of its "
                    f"{size[1]} x {size[0]} pixels at once, {needed / 2**30:.1f} GiB. Turn it before and remove the "
                    "tag, such as by magick IN -auto-orient OUT."
                )
            layout = size, self._data.block_shapes[0], sum(np.dtype(kind).itemsize for kind in self._data.dtypes)
            if (needed := prod(layout[1]) * layout[2]) > _LARGEST_BLOCK:
                raise RasterError(
                    f"{readable(self.path)} is stored in blocks of {layout[1][1]} x {layout[1][0]} pixels, which take "
                    f"{needed / 2**30:.1f} GiB each. Cut it into smaller ones: gdal_translate -co TILED=YES."
                )
            self._rows = self._seen(RasterRows(*layout, self._read))
            if self.masked:
                # Another handle, as the mask is asked for later than the rows, and PNG would begin anew each time.
                self._mask = stack.enter_context(open_raster(self.path, allow_references))
                self._mask_rows = self._seen(RasterRows(*layout, self._read_mask))
            self._stack = stack.pop_all()

    def __enter__(self) -> "RasterReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def georeference(self) -> dict[str, Any]:
        """Where the picture is, by the names of :func:`rasterio.open`'s arguments; None for what is not known."""
        points, their_crs = self._data.gcps
        transform = None if points or self._data.transform.is_identity else self._data.transform
        crs = their_crs if points else self._data.crs
        return {"crs": crs, "transform": transform, "gcps": points or None, "rpcs": self._data.rpcs}

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows, RGB (stop - start, W, 3) or bands; each is decoded once if asked for from top to bottom.

        Args:
            start: First row.
            stop: The row after the last; those of the next call may overlap.

        Raises:
            RasterError: The file is damaged there.
            ImageError: Pixels of the bands hold no data, and the reader does not say what they become.
        """
        return self._rows(start, stop)

    def valid_rows(self, start: int, stop: int) -> NDArray[np.bool_] | None:
        """Which pixels of rows are part of the picture, (stop - start, W); None if all of the file are.

        They are decoded apart from the colours, and likewise once.

        Args:
            start: First row.
            stop: The row after the last.

        Raises:
            RasterError: The file is damaged there.
        """
        return self._mask_rows(start, stop) if self.masked else None

    def preview(self, max_side: int) -> NDArray[np.uint8]:
        """The whole picture made small, RGB (h, w, 3), its longer side at most ``max_side`` pixels.

        Raises:
            RasterError: The file is damaged.
        """
        sides = self._data.height, self._data.width
        scale = min(max_side / max(sides), 1)
        height, width = (max(int(side * scale), 1) for side in sides)
        if self._reader is not None:
            return draw_bands(self._read_bands(self._reader, None, (height, width)))
        return np.ascontiguousarray(turn(self._read(None, (height, width)), self._turned))

    def _seen(self, rows: RasterRows) -> RasterRows | TurnedRows:
        return rows if self._turned == 1 else TurnedRows(rows, self._data.height, self._turned)

    def _read_bands(self, reader: BandReader, window: Window | None, shape: tuple[int, int] | None = None) -> Pixels:
        options = {} if shape is None else {"out_shape": (len(self._bands), *shape), "resampling": Resampling.average}
        with gdal(f"{readable(self.path)} is damaged{'' if window is None else f' at row {window.row_off} or below'}"):
            return reader.read(self._data, readable(self.path), window, **options)

    def _read(self, window: Window | None, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        if self._reader is not None:
            return self._read_bands(self._reader, window, shape).values
        out_shape = shape and (len(self._bands), *shape)
        # A mean of entries of a colour table would be another colour.
        resampling = Resampling.nearest if shape is None or self._table is not None else Resampling.average
        with gdal(f"{readable(self.path)} is damaged{'' if window is None else f' at row {window.row_off} or below'}"):
            pixels = self._data.read(self._bands, window=window, out_shape=out_shape, resampling=resampling)
        if self._table is not None:
            pixels = np.moveaxis(self._table[pixels[0]], -1, 0)
        return np.ascontiguousarray(np.broadcast_to(np.moveaxis(pixels, 0, -1), (*pixels.shape[1:], 3)))

    def _read_mask(self, window: Window) -> NDArray[np.bool_]:
        if self._reader is not None:
            return self._read_bands(self._reader, window).there
        with gdal(f"{readable(self.path)} is damaged at row {window.row_off} or below"):
            valid: NDArray[np.bool_] = self._mask.read_masks(self._bands, window=window).any(0)
        return valid
