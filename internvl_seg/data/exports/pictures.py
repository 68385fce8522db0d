"""Pictures of exports, read in parts, with whatever bands and bits they have."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterWindow

from ..gdal import RasterError, gdal, open_raster
from ..names import readable
from ..turned import read_orientation, swaps_sides, turn
from .export import SourceError, Window

# What FolderDataset lists and both OpenCV and Pillow decode; the first is for files of another suffix.
_KEPT = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GTiff": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_ROWS = 512
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


class Picture:
    """A picture of an export, with all of its bands and bits, of which windows are read; for one thread.

    A window is one of the picture as it is to be seen: turned as its camera says, unless it has a place on Earth.
    Of a picture that is stored in whole rows, the rows of the last window are kept.

    Args:
        file: The file or its bytes.
        name: For messages.

    Attributes:
        size: (height, width).
        bands: How many.
        dtype: NumPy's name of their type.
        suffix: Of a file of this name and format in a folder of pictures; None if it has to be converted.
        georeferenced: Whether it has a place on Earth.

    Raises:
        SourceError: It cannot be read.
    """

    def __init__(self, file: Path | bytes, name: str) -> None:
        self._name = readable(str(file)) if isinstance(file, Path) else f"the picture of {readable(name)}"
        with ExitStack() as stack:
            if isinstance(file, bytes):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                path = Path(folder, "picture")
                path.write_bytes(file)
            else:
                path = file
                if not path.is_file():
                    raise SourceError(f"{self._name} is not there. Add it, or say where it is by --images FOLDER.")
            with self._complaining():
                self._data: Any = stack.enter_context(open_raster(path))
            data = self._data
            points = data.gcps[0]
            self.georeferenced = bool(data.crs or points or data.rpcs or _is_placed(data.transform))
            self._turned = 1 if self.georeferenced else read_orientation(path, data.driver)
            size = data.height, data.width
            self.size: tuple[int, int] = size[::-1] if swaps_sides(self._turned) else size
            self.bands: int = data.count
            types = set(data.dtypes)
            if not self.bands or len(types) > 1:
                raise SourceError(f"{self._name} has bands of {sorted(types)}; a picture has bands of one type.")
            (self.dtype,) = types
            suffixes = _KEPT.get(data.driver, ())
            suffix = path.suffix.lower()
            self.suffix = path.suffix if suffix in suffixes else suffixes[0] if suffixes else None
            self._masked = any(MaskFlags.all_valid not in flags for flags in data.mask_flag_enums)
            self._strips: dict[str, tuple[tuple[int, int], NDArray[Any]]] = {}
            self._stack = stack.pop_all()

    def __enter__(self) -> "Picture":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, window: Window | None = None) -> NDArray[Any]:
        """Pixels of a window, or all, (bands, height, width).

        Raises:
            SourceError: The file is damaged.
        """
        return self._read("pixels", window or Window(0, 0, *self.size), lambda where: self._data.read(window=where))

    def check(self) -> None:
        """See that all of it can be decoded, a few rows at a time.

        Raises:
            SourceError: The file is damaged.
        """
        for top in range(0, self._data.height, _ROWS):
            rows = RasterWindow(0, top, self._data.width, min(_ROWS, self._data.height - top))
            with self._complaining():
                self._data.read(window=rows)

    def preview(self, size: tuple[int, int]) -> NDArray[Any]:
        """All of it made small, (bands, height, width); colours by number as RGB.

        Args:
            size: (height, width) of the small one.

        Raises:
            SourceError: The file is damaged.
        """
        height, width = size[::-1] if swaps_sides(self._turned) else size
        with self._complaining():
            pixels = self._data.read(out_shape=(self.bands, height, width))
        if (table := self.colour_table()) is not None:
            pixels = np.moveaxis(table[pixels[0], :3], -1, 0)
        return np.moveaxis(turn(np.moveaxis(pixels, 0, -1), self._turned), -1, 0)

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        """Which pixels of a window the file does not call transparent or without data; None if all of the file are.

        Raises:
            SourceError: The file is damaged.
        """
        if not self._masked:
            return None
        masks = self._read("mask", window, lambda where: self._data.read_masks(window=where))
        valid: NDArray[np.bool_] = np.any(masks, axis=0)
        return valid

    def colour_table(self) -> NDArray[np.uint8] | None:
        """RGBA of every number, (256, 4), where the picture has colours by number; None otherwise."""
        table = np.zeros((256, 4), np.uint8)
        with self._complaining():
            if self.bands != 1 or self._data.colorinterp[0] != ColorInterp.palette:
                return None
            for number, colour in self._data.colormap(1).items():
                table[number] = colour
        return table

    @property
    def nodata(self) -> float | None:
        """The value that the file says is none; of PNG and GIF, whose colours may be transparent to look at, None."""
        with self._complaining():
            value: float | None = None if self._data.driver in ("PNG", "GIF") else self._data.nodata
        return value

    @property
    def has_opacity(self) -> bool:
        """Whether the last band says how opaque pixels are."""
        return self.bands > 1 and self._data.colorinterp[-1] == ColorInterp.alpha

    def encode(self, window: Window | None = None) -> tuple[str, bytes]:
        """A window, or all, as a file without loss, and the file's suffix.

        Pictures of 8 bits in one, three or four channels become PNG; those with a place on Earth, of other bits or of
        more bands GeoTIFF, which keeps where they are and what their bands are.

        Raises:
            SourceError: The file is damaged.
        """
        data, whole = self._data, window or Window(0, 0, *self.size)
        pixels = self.read(whole)
        with self._complaining(), MemoryFile() as memory:
            bits = data.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
            kinds = data.colorinterp
            plain = self.dtype == "uint8" and not bits and not self.georeferenced and data.nodata is None
            plain = plain and (self.bands in (1, 3) or (self.bands == 4 and kinds[3] == ColorInterp.alpha))
            profile: dict[str, Any] = {"count": self.bands, "height": whole.height, "width": whole.width}
            profile |= {"dtype": self.dtype, "driver": "PNG" if plain else "GTiff"}
            if not plain:
                profile |= {"compress": "deflate", "nodata": data.nodata, **self._place(whole)}
                if bits:
                    profile["nbits"] = bits
                if kinds[:3] == _RGB:
                    profile["photometric"] = "RGB"
            with memory.open(**profile) as out:
                if kinds[0] == ColorInterp.palette and self.bands == 1:
                    out.write_colormap(1, data.colormap(1))
                elif not plain:
                    out.colorinterp = kinds
                if not plain:
                    out.descriptions = data.descriptions
                    out.scales, out.offsets = data.scales, data.offsets
                out.write(pixels)
            memory.seek(0)
            return (".png" if plain else ".tif"), memory.read()

    def _place(self, window: Window) -> dict[str, Any]:
        data = self._data
        points, their_crs = data.gcps
        if points:
            moved = [GroundControlPoint(p.row - window.top, p.col - window.left, p.x, p.y, p.z, p.id) for p in points]
            return {"gcps": moved, "crs": their_crs}
        if not self.georeferenced:
            return {}
        where = RasterWindow(window.left, window.top, window.width, window.height)
        return {"crs": data.crs, "transform": data.window_transform(where)}

    def _read(self, kind: str, window: Window, read: Any) -> NDArray[Any]:
        top, left, height, width = window
        in_strips = self._data.block_shapes[0][1] >= self._data.width
        if self._turned == 1 and not in_strips:
            with self._complaining():
                pixels: NDArray[Any] = read(RasterWindow(left, top, width, height))
            return pixels
        # The whole width is decoded in any case: neighbours in the row of tiles take their part of it.
        rows = (top, height) if self._turned == 1 else (0, self.size[0])
        if kind not in self._strips or self._strips[kind][0] != rows:
            self._strips.pop(kind, None)
            where = None if self._turned > 1 else RasterWindow(0, top, self._data.width, height)
            with self._complaining():
                strip = read(where)
            self._strips[kind] = rows, np.moveaxis(turn(np.moveaxis(strip, 0, -1), self._turned), -1, 0)
        start = top - rows[0]
        return self._strips[kind][1][:, start : start + height, left : left + width]

    def _complaining(self) -> AbstractContextManager[None]:
        return _as_source_error(f"{self._name} cannot be read")


def _is_placed(transform: Any) -> bool:
    """Whether a raster's transform says something; of some formats GDAL gives one of zeros."""
    return not transform.is_identity and not transform.is_degenerate


@contextmanager
def _as_source_error(complaint: str) -> Iterator[None]:
    """A block in which rasterio is called, whose errors are :class:`SourceError`."""
    try:
        with gdal(complaint):
            yield
    except MemoryError as error:
        raise SourceError(f"{complaint}: it takes more memory than there is ({error}). Is it damaged?") from error
    except RasterError as error:
        raise SourceError(
            f"{str(error).rstrip('.')}. Copy it or export it again, as PNG or TIFF, or take it away."
        ) from error
