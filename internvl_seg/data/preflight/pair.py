"""What there is to know of an image and its mask, read once and as training reads them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from ..bands import BandReader
from ..masks import ColouredMaskError, read_mask

T = TypeVar("T")
_ROTATIONS = range(5, 9)  # Values of EXIF's orientation that swap height and width.


@dataclass(frozen=True)
class ImageFacts:
    """An image.

    Attributes:
        mode: Pillow's name of the kind of pixels.
        has_alpha: Whether it has transparency.
        size: (height, width) once it is turned as EXIF says, which OpenCV does when training reads it.
        rotated: Whether EXIF says so.
        digest: Hash of the decoded pixels, the same for a copy with another name or other tags.
    """

    mode: str
    has_alpha: bool
    size: tuple[int, int]
    rotated: bool
    digest: bytes


@dataclass(frozen=True)
class MaskFacts:
    """A mask.

    Attributes:
        mode: Pillow's name of the kind of pixels.
        size: (height, width).
        ids: Ids that it holds, ascending; none for a mask of several channels.
        counts: Pixels of each.
    """

    mode: str
    size: tuple[int, int]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """An image and its mask; a part that is missing or unreadable is None.

    Attributes:
        image_path: Of the image.
        mask_path: Of the mask; '' in a set without masks.
        image: Facts of the image.
        mask: Facts of the mask.
        problems: Why a file could not be read, by its path.
    """

    image_path: str
    mask_path: str
    image: ImageFacts | None
    mask: MaskFacts | None
    problems: dict[str, str]


def _read_image(path: Path) -> ImageFacts:
    if not cv2.haveImageReader(str(path)):
        raise OSError("OpenCV, which training reads it with, does not know the format")
    with Image.open(path) as image:
        image.load()  # To the end: OpenCV fills what is cut off with grey and says nothing.
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        height_width = image.size if orientation in _ROTATIONS else image.size[::-1]
        digest = hashlib.blake2b(image.tobytes(), digest_size=16)
        digest.update(repr((image.mode, height_width)).encode())
        return ImageFacts(
            mode=image.mode,
            has_alpha=image.has_transparency_data,
            size=(height_width[0], height_width[1]),
            rotated=orientation > 1,
            digest=digest.digest(),
        )


def _read_mask(path: Path) -> MaskFacts:
    try:
        labels = read_mask(str(path))
    except ColouredMaskError:
        with Image.open(path) as image:
            return MaskFacts(image.mode, image.size[::-1], np.zeros(0, np.int64), np.zeros(0, np.int64))
    try:
        with Image.open(path) as image:
            mode = image.mode
    except (OSError, Image.DecompressionBombError):  # What Pillow does not read is wide, or as large as a map.
        mode = "L" if labels.dtype == np.uint8 else "I"
    ids, counts = np.unique(labels, return_counts=True)
    return MaskFacts(mode, (labels.shape[0], labels.shape[1]), ids.astype(np.int64), counts.astype(np.int64))


def _read_bands(path: Path, reader: BandReader) -> ImageFacts:
    """An image of the bands that a pipeline reads."""
    pixels = reader.read_file(str(path))
    digest = hashlib.blake2b(pixels.values.data, digest_size=16)
    height, width = pixels.there.shape
    return ImageFacts("bands", has_alpha=False, size=(height, width), rotated=False, digest=digest.digest())


def read_pair(image_path: str, mask_path: str, reader: BandReader | None = None) -> Pair:
    """Read an image and its mask.

    Args:
        image_path: Of the image.
        mask_path: Of the mask, '' if there is to be none; a file that is not there is no problem of this function.
        reader: Of the bands that the pipeline reads, if it reads bands.
    """
    problems: dict[str, str] = {}

    def attempt(read: Callable[[Path], T], path: str) -> T | None:
        if not path or not Path(path).is_file():
            return None
        try:
            return read(Path(path))
        except Image.DecompressionBombError:
            problems[path] = "it is too large to be looked at as a whole; cut it into tiles (docs/own_data.md)"
            return None
        # Whatever a damaged file makes a decoder raise: Pillow's own errors, and those of parsing bytes.
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            problems[path] = str(error).replace(str(path), Path(path).name)
            return None

    read_image = _read_image if reader is None else partial(_read_bands, reader=reader)
    return Pair(image_path, mask_path, attempt(read_image, image_path), attempt(_read_mask, mask_path), problems)
