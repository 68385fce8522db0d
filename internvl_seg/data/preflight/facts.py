"""What there is to know of an image or a mask, read once, with the pipeline's own code."""

import hashlib
import os
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..masks import ColouredMaskError, LabelError
from .header import DAMAGED, Header, check_claims, find_damage, open_image_file, read_ends, read_header, seems_whole
from .loading import Loader

# A histogram of OpenCV is of fp32, which holds whole numbers up to here.
_EXACT = 2**24
# An image is blank if so much of it has the commonest value; looked at in so many pixels a side.
_BLANK, _LOOKED_AT = 0.99, 64
_NARROW = 8
# What OpenCV's error names when a picture has too many pixels, or too many in a row.
_OPENCV_LIMIT = "CV_IO_MAX_IMAGE"


@dataclass(frozen=True)
class ImageFacts:
    """An image.

    Attributes:
        header: What the file says.
        stamp: Hash of the file's ends and its size: files that differ in it are no copies.
        seems_whole: Whether the file has the mark that ends its format.
        is_decoded: Whether the rest is known.
        shape: (height, width, bands) as the pipeline gives it; empty if it could not.
        is_cut: Whether values were cut to 8 bits.
        digest: Hash of the decoded pixels, the same for a copy with another name or other tags.
        is_blank: Whether all pixels but a few have one value, as where there is no data.
        problem: Why it cannot be used, as the kind of a finding; '' if nothing is wrong.
        told: The same in words.
    """

    header: Header
    stamp: str = ""
    seems_whole: bool = True
    is_decoded: bool = False
    shape: tuple[int, ...] = ()
    is_cut: bool = False
    digest: str = ""
    is_blank: bool = False
    problem: str = ""
    told: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as training sees it."""
        return (self.shape[0], self.shape[1]) if self.shape else self.header.size


@dataclass(frozen=True)
class MaskFacts:
    """A mask.

    Attributes:
        header: What the file says.
        shape: (height, width), or with a number of channels, as the pipeline gives it; empty if it could not.
        ids: Ids that it holds, ascending; none for a mask of several channels.
        counts: Pixels of each.
        problem: Why it cannot be used, as the kind of a finding; '' if nothing is wrong.
        told: The same in words.
    """

    header: Header
    shape: tuple[int, ...] = ()
    ids: tuple[int, ...] = field(default=())
    counts: tuple[int, ...] = field(default=())
    problem: str = ""
    told: str = ""


def look_at_image(path: str) -> ImageFacts:
    """What the file says, without decoding it."""
    try:
        with open_image_file(path) as file:
            start, tail, length = read_ends(file)
            stamp = hashlib.blake2b(start + tail + str(length).encode(), digest_size=8).hexdigest()
            try:
                header = read_header(file)
            except Image.DecompressionBombError:
                return ImageFacts(Header(), stamp, seems_whole=False)
        return ImageFacts(header, stamp, seems_whole(tail, header))
    except DAMAGED:
        return ImageFacts(Header(), seems_whole=False)  # The pipeline has the last word.


def decode_image(known: ImageFacts, loader: Loader, info: dict[str, Any]) -> ImageFacts:
    """Read an image to its end.

    Args:
        known: What the file says.
        loader: The pipeline's steps.
        info: The sample.
    """
    path, header = info["img_path"], known.header
    try:
        check_claims(path)
        image = loader.image(info)
        told = find_damage(path, header)
    except Exception as error:  # Steps may be of anybody's.
        problem, told = _problem(error, path, header)
        return ImageFacts(header, known.stamp, is_decoded=True, problem=problem, told=told)
    return ImageFacts(
        header,
        known.stamp,
        is_decoded=True,
        shape=image.shape,
        is_cut=_is_cut(path, header, image),
        digest=_digest(image),
        is_blank=_is_blank(image),
        problem="unreadable" if told else "",
        told=told,
    )


def read_mask(loader: Loader, info: dict[str, Any]) -> MaskFacts:
    """Read a mask to its end.

    Args:
        loader: The pipeline's steps.
        info: The sample.
    """
    path, header = info["seg_map_path"], Header()
    try:
        with open_image_file(path) as file:
            header = read_header(file)
    except (Image.DecompressionBombError, *DAMAGED):
        pass
    try:
        if not loader.masks_by_pillow:
            check_claims(path)
        mask = loader.stored_ids(info)
        told = "" if loader.masks_by_pillow else find_damage(path, header)
    except Exception as error:
        problem, told = _problem(error, path, header)
        if isinstance(error, ColouredMaskError):
            # What it is to be turned into is said once for all.
            told = str(error).removeprefix(f"{path} has ").removesuffix(error.advice)
            problem, told = "rgb_mask", f"{header.mode or header.kind}, {told}"
        elif problem == "unsupported_image" or (problem == "unreadable" and isinstance(error, LabelError)):
            problem = "unsupported_mask"
        return MaskFacts(header, problem=problem, told=told)
    if mask.ndim != 2:
        channels = mask.shape[-1]
        return MaskFacts(header, mask.shape, problem="rgb_mask", told=f"{header.mode or header.kind}, {channels} bands")
    ids, counts = count_ids(mask)
    problem = "unreadable" if told else ""
    return MaskFacts(header, mask.shape, tuple(ids.tolist()), tuple(counts.tolist()), problem, told)


def count_ids(mask: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids that a mask holds, ascending, and the pixels of each."""
    if mask.dtype == np.uint8:
        pixels = np.zeros(256, np.int64)
        rows = max(1, _EXACT // max(mask.shape[1], 1))
        for start in range(0, len(mask), rows):
            part = np.ascontiguousarray(mask[start : start + rows])
            pixels += cv2.calcHist([part], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        ids = np.flatnonzero(pixels)
        return ids, pixels[ids]
    ids, counts = np.unique(mask, return_counts=True)
    return ids.astype(np.int64), counts.astype(np.int64)


def _problem(error: Exception, path: str, header: Header) -> tuple[str, str]:
    """The kind of a finding, and its words, for what a loading step raised."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    if any(isinstance(cause, Image.DecompressionBombError) for cause in chain):
        return "large_image", " ".join(str(chain[-1]).partition(", could be")[0].split())
    said = " ".join(str(error).replace(path, os.path.basename(path)).split()) or type(error).__name__
    if _OPENCV_LIMIT in said:
        return "large_image", "more pixels than OpenCV opens, which are 2^30"
    if header.format:
        if damage := find_damage(path, header):
            return "unreadable", damage
        return "unsupported_image", f"{header.kind}: {said}"
    return "unreadable", said


def _is_cut(path: str, header: Header, image: NDArray[Any]) -> bool:
    """Whether a file of more than 8 bits was read as if it had 8, whatever dtype the values have now."""
    if header.bits <= _NARROW:
        return False
    if image.dtype.itemsize == 1:
        return True
    if header.is_float or image.max(initial=0) > 255 or (image.dtype.kind == "f" and (image % 1).any()):
        return False
    with open_image_file(path) as file:
        stored = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    # A step that chooses bands says nothing of the others.
    if stored is None or np.atleast_3d(stored).shape[2] > np.atleast_3d(image).shape[2]:
        return False
    return bool(stored.max(initial=0) > image.max(initial=0))


def _digest(image: NDArray[Any]) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(image).view(np.uint8).data, digest_size=16)
    digest.update(repr((image.shape, image.dtype.str)).encode())
    return digest.hexdigest()


def _is_blank(image: NDArray[Any]) -> bool:
    rows, columns = (max(1, length // _LOOKED_AT) for length in image.shape[:2])
    looked_at = image[::rows, ::columns].reshape(len(image[::rows]) * len(image[0, ::columns]), -1)
    # One number for a pixel: far faster to sort than all its bands. Two that differ hardly ever share one.
    keys = looked_at.astype(np.float64) @ np.random.default_rng(0).uniform(0.5, 1, looked_at.shape[1])
    return bool(np.unique(keys, return_counts=True)[1].max(initial=0) >= _BLANK * len(keys))
