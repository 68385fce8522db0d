"""Pictures in any form, as RGB arrays."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from ..common.ignored_warnings import ignoring_warnings
from ..data.bands import BandReader
from ..data.names import readable
from .picture_depth import bits_per_channel

PictureLike: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor
Image.init()
# Not PostScript, which Pillow has another program run, and not those for which it has no decoder of its own.
FORMATS = tuple(sorted(Image.OPEN.keys() - {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"}))
_SAMPLE_FORMAT, _SIGNED = 339, 2
_NEW_SUBFILE_TYPE, _PAGE_OF_SEVERAL, _PAGES = 254, 2, 1000
PICTURE_SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)
# Pictures, as of telephones, that Pillow does not read by itself.
HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
HEIC_ADVICE = (
    "HEIC and HEIF pictures are not read here: convert them to JPEG or PNG, such as by ImageMagick: magick x.heic x.png"
)


class PictureError(ValueError):
    """A picture cannot be read, or is not one."""


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture, turned as its camera says.

    Args:
        path: File in any format that Pillow knows.

    Returns:
        RGB, (H, W, 3).

    Raises:
        PictureError: There is no such file, or it is no picture, cut short, too large or of more than 8 bits.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return _rgb(picture)
    except PictureError as error:
        raise PictureError(f"{readable(path)}: {error}") from error
    except UnidentifiedImageError as error:
        advice = f" {HEIC_ADVICE}." if Path(path).suffix.lower() in HEIC_SUFFIXES else ""
        raise PictureError(f"{readable(path)} is no picture in a format that Pillow knows.{advice}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{readable(path)} is too large to be read at once: {error} tools/infer.py reads it in parts."
        ) from error
    except FileNotFoundError as error:
        raise PictureError(f"{readable(path)} cannot be read: it is not there.") from error
    except OSError as error:
        raise PictureError(f"{readable(path)} cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise
    except Exception as error:  # Decoders raise what they like at damaged files.
        raise PictureError(f"{readable(path)} cannot be read: {error or type(error).__name__}") from error


def check_file(path: Path) -> None:
    """Check that a path is a file with something in it: a pipe would be waited for.

    Raises:
        PictureError: It is not.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise PictureError(f"{readable(path)} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise PictureError(f"{readable(path)} is no file but a folder, pipe, socket or device.")
    if not status.st_size:
        raise PictureError(f"{readable(path)} is empty: it has no bytes.")


def count_pages(path: str | os.PathLike[str]) -> int:
    """How many pages, frames or sizes a file has, of which :func:`read_picture` takes the first (or the largest size).

    Copies in lower resolution and masks do not count. Of what is no picture it is 1.
    """
    try:
        with ignoring_warnings(), Image.open(path, formats=FORMATS) as picture:
            if sizes := picture.info.get("sizes"):
                return len(sizes)
            count = int(getattr(picture, "n_frames", 1))
            if not isinstance(picture, TiffImageFile) or count == 1:
                return count
            kinds = []
            for page in range(min(count, _PAGES)):
                picture.seek(page)
                kinds.append(picture.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & ~_PAGE_OF_SEVERAL)
            return max(kinds.count(0), 1)
    except Exception:  # What is wrong with it is said when it is read.
        return 1


def as_several(picture: PictureLike | Sequence[PictureLike]) -> Sequence[PictureLike] | None:
    """Pictures in a list, array (N, H, W, 3) or tensor (N, 3, H, W), one by one; None for a single picture."""
    if isinstance(picture, (np.ndarray, Tensor)):
        return list(picture) if picture.ndim == 4 else None
    return picture if isinstance(picture, Sequence) and not isinstance(picture, str) else None


def as_rgb(picture: PictureLike) -> NDArray[Any]:
    """A picture of any form as an RGB array.

    Args:
        picture: A path; a PIL image; an array (H, W, 3) or (H, W), or a tensor (3, H, W), RGB, either uint8 or
            floating point from 0 to 1.

    Returns:
        RGB, (H, W, 3), uint8, or float32 from 0 to 255.

    Raises:
        PictureError: It is none of these, or the file cannot be read.
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(picture)
    if isinstance(picture, Image.Image):
        return _rgb(picture)
    if isinstance(picture, Tensor):
        if picture.ndim != 3 or picture.shape[0] != 3:
            raise PictureError(f"A tensor has to be RGB, (3, H, W); this one is {tuple(picture.shape)}.")
        channels_last = picture.detach().permute(1, 2, 0).cpu()
        return _in_range((channels_last.float() if picture.is_floating_point() else channels_last).numpy())
    if not isinstance(picture, np.ndarray):
        raise PictureError(
            f"A picture is a path, a PIL image, an array or a tensor; this is {type(picture).__name__!r}."
        )
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise PictureError(f"An array has to be RGB, (H, W, 3), or grey, (H, W); this one is {picture.shape}.")
    return _in_range(picture)


def as_bands(picture: PictureLike, reader: BandReader) -> NDArray[np.float32]:
    """A picture of any form as an array of the bands that a model takes.

    Args:
        picture: A path; an array (H, W, bands), or (H, W) of one band; a tensor (bands, H, W); a PIL image.
        reader: Which bands.

    Returns:
        (H, W, bands) float32, with the values that are there.

    Raises:
        PictureError: It is none of these.
        ImageError: The file or array has other bands, or values that are none.
    """
    if isinstance(picture, (str, os.PathLike)):
        return reader.read_file(os.fspath(picture)).values
    if isinstance(picture, Tensor):
        if picture.ndim != 3:
            raise PictureError(f"A tensor has to be (bands, H, W); this one is {tuple(picture.shape)}.")
        channels_last = picture.detach().permute(1, 2, 0).cpu()
        return reader.of_array((channels_last.float() if picture.is_floating_point() else channels_last).numpy())
    if not isinstance(picture, (np.ndarray, Image.Image)):
        raise PictureError(
            f"A picture is a path, a PIL image, an array or a tensor; this is {type(picture).__name__!r}."
        )
    return reader.of_array(np.asarray(picture))


def _rgb(picture: Image.Image) -> NDArray[np.uint8]:
    bits = bits_per_channel(picture)
    if bits > 8:
        # Pillow would take the highest 8: of 12-bit values in 16 bits, those are almost black.
        raise PictureError(
            f"A picture has 8 bits a channel; this one has {bits}, mode {picture.mode!r}. Convert it, such as by "
            "gdal_translate -ot Byte -scale."
        )
    if picture.mode == "LAB":
        raise PictureError("A picture has red, green and blue; this one has the colours of CIELAB. Convert it to RGB.")
    if _SIGNED in getattr(picture, "tag_v2", {}).get(_SAMPLE_FORMAT, ()):
        raise PictureError("A picture has values from 0 to 255; those of this one have signs. Convert them.")
    return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def _in_range(picture: NDArray[Any]) -> NDArray[Any]:
    if picture.size == 0:
        raise PictureError(f"A picture has at least one pixel; this one is {picture.shape}.")
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype.kind != "f":
        raise PictureError(f"A picture is uint8, or floating point from 0 to 1; this one is {picture.dtype}.")
    low, high = float(picture.min()), float(picture.max())
    if not (low >= 0 and high <= 1):
        raise PictureError(
            f"A floating-point picture runs from 0 to 1; this one from {low:.3g} to {high:.3g}. Do not normalise it: "
            "the model does."
        )
    return picture.astype(np.float32) * 255
