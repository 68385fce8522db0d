"""Files of masks, decoded with the values that they store."""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..common.ignored_warnings import ignoring_warnings
from ..common.library_noise import quiet_opencv
from .folder_errors import CONVERTER, PAGE
from .own_words import OwnWordsError

# OpenCV, which reads the pictures, takes no more.
MOST_PIXELS = 2**30
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LOSSY = frozenset({"JPEG", "MPO"})
_NARROW = 8
# Modes in which Pillow has 8 bits a channel, whatever is stored.
_SHORTENED = frozenset({"RGB", "RGBA", "RGBX", "LA", "CMYK"})
# By the bits of a grey value: what Pillow multiplies it with.
_STRETCHED = {2: 85, 4: 17}


class LabelError(OwnWordsError):
    """A mask holds no class ids, or cannot be compared with the prediction for its image; the message names it."""


class MaskFormatError(LabelError):
    """A mask is stored in a way that does not keep ids, or is too large to be read at once."""


def decode_mask(content: bytes, path: str) -> NDArray[Any]:
    """What a mask's file stores, without a scaling to 8 bits and without a palette's colours.

    Args:
        content: The file's bytes, in any format of Pillow's, or a TIFF that GDAL reads.
        path: Where they are from, for errors.

    Returns:
        (H, W) or (H, W, C) of whichever dtype; of several channels the order is not told.

    Raises:
        MaskFormatError: It is a JPEG, holds several pages, has 5 bits a channel, or more than 2**30 pixels.
        OSError: It is no picture, or cut short.
    """
    try:
        with _open(content, path) as image:
            _check_format(image, path)
            bits = _bits_of(image, content)
            pixels = np.asarray(image)  # To the end, also where OpenCV reads: it fills what is cut off and is silent.
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        # Pillow knows no 64 bits and no several bands of 16, and takes no large compressed ones.
        if not content.startswith(_TIFF):
            raise
        try:
            return _with_gdal(content, path)
        except OSError:
            raise error from None
    if bits > _NARROW and image.mode in _SHORTENED:
        if image.format == "TIFF":
            return _with_gdal(content, path)
        with quiet_opencv():
            decoded: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise UnidentifiedImageError(f"OpenCV cannot read {path}")
        return decoded
    return pixels // _STRETCHED[bits] if image.mode == "L" and bits in _STRETCHED else pixels


def _open(content: bytes, path: str) -> Image.Image:
    with ignoring_warnings(Image.DecompressionBombWarning):
        try:
            return Image.open(io.BytesIO(content))
        except Image.DecompressionBombError as error:
            for name in ("PNG", "TIFF", "BMP"):
                factory, accept = Image.OPEN[name]
                if accept is not None and accept(content[:16]) is True:
                    image = factory(io.BytesIO(content), path)
                    if image.width * image.height > MOST_PIXELS:
                        raise _too_large(path, f"{image.width} x {image.height} pixels") from error
                    return image
            raise _too_large(path, str(error)) from error


def _too_large(path: str, size: str) -> MaskFormatError:
    return MaskFormatError(
        f"{path} is too large to be read at once: {size}. Cut it into tiles, such as by {CONVERTER} ({PAGE})."
    )


def _check_format(image: Image.Image, path: str) -> None:
    if image.format in _LOSSY or "jpeg" in str(image.info.get("compression", "")):
        raise MaskFormatError(
            f"{path} is a JPEG, which changes values where they meet others: ids would be other classes. Save the "
            f"masks as PNG or TIFF from where they were made ({PAGE})."
        )
    tiles = getattr(image, "tile", None)
    if image.format == "BMP" and tiles and tiles[0][3][0] in ("BGR;15", "BGR;16"):
        raise MaskFormatError(f"{path} has 5 bits a channel, which keep no ids. Save it with 8 bits ({PAGE}).")
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and not _is_pyramid(image):
        raise MaskFormatError(
            f"{path} holds {pages} pages. A mask has one class id for every pixel; split the pages, or put them "
            f"together as one map of ids ({PAGE})."
        )


def _is_pyramid(image: Image.Image) -> bool:
    """Whether a TIFF's other pages are its own made smaller, as maps have them, or say which pixels are valid."""
    if image.format != "TIFF":
        return False
    try:
        for page in range(1, getattr(image, "n_frames", 1)):
            image.seek(page)
            if not image.tag_v2.get(254, 0) & 5:  # type: ignore[attr-defined]  # TIFF's NewSubfileType
                return False
        return True
    finally:
        image.seek(0)


def _bits_of(image: Image.Image, content: bytes) -> int:
    """Bits of a channel as they are stored."""
    if image.format == "PNG":
        return content[24]
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(258, (1,))))  # type: ignore[attr-defined]  # TIFF's BitsPerSample
    return _NARROW


def _with_gdal(content: bytes, path: str) -> NDArray[Any]:
    """Read a TIFF of whatever depth and number of bands."""
    import rasterio  # GDAL is loaded by those who need it.

    with (
        ignoring_warnings(rasterio.errors.NotGeoreferencedWarning),
        rasterio.MemoryFile(content) as memory,
        memory.open(driver="GTiff") as file,
    ):
        if file.width * file.height > MOST_PIXELS:
            raise _too_large(path, f"{file.width} x {file.height} pixels")
        return np.ascontiguousarray(np.moveaxis(file.read(), 0, -1))
