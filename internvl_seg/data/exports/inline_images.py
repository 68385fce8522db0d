"""Images that lie inside a JSON file, unpacked without more memory than they can need."""

import base64
import binascii
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .export import SourceError

# Bytes that a file of few pixels may have beside them: headers, colour tables, texts.
_BESIDE = 1 << 20


def base64_bytes(value: Any, what: str) -> bytes:
    """Bytes from base64, with or without the beginning of a data URL.

    Args:
        value: As JSON gives it.
        what: What it is, for errors: "'imageData' of a.json".

    Raises:
        SourceError: It is no base64.
    """
    try:
        if not isinstance(value, str):
            raise ValueError(f"{type(value).__name__}, not a text")
        text = value.partition(",")[2] if value.startswith("data:") else value
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise SourceError(f"{what} is no base64: {error}. Export it again.") from error


def inflate(packed: bytes, size: tuple[int, int], what: str) -> bytes:
    """Unpack zlib's bytes of an image that lies in a picture.

    Args:
        packed: The bytes.
        size: (height, width) of the picture; more than such an image can have is refused before it is unpacked.
        what: What it is, for errors.

    Raises:
        SourceError: They are damaged, cut off, or would be more than that.
    """
    most = 8 * size[0] * size[1] + _BESIDE
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(packed, most)
    except zlib.error as error:
        raise SourceError(f"{what} cannot be unpacked: {error}. Export it again.") from error
    if unpacker.unconsumed_tail:
        raise SourceError(
            f"{what} unpacks to more than {most} bytes, which no image in a picture of {size[1]} x {size[0]} pixels "
            "needs. Delete that object, and export again."
        )
    if not unpacker.eof:
        raise SourceError(f"{what} is cut off. Export it again.")
    return unpacked


def png_mask(data: bytes, size: tuple[int, int], what: str, *, exact: bool) -> NDArray[np.bool_]:
    """A mask from a PNG: where it is opaque if it has transparency, else where it is not 0.

    Args:
        data: The file's bytes.
        size: (height, width) that it has to have, or at most.
        what: What it is, for errors.
        exact: Whether it has to have that size.

    Raises:
        SourceError: It is no PNG, has another size, is damaged, or has colours but no transparency.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            width, height = image.size
            if (height, width) != size if exact else height > size[0] or width > size[1]:
                raise SourceError(
                    f"{what} has {width} x {height} pixels, but {'' if exact else 'at most '}{size[1]} x {size[0]} "
                    "were expected. Export with the pictures that were labelled, as they are."
                )
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                return np.asarray(image.convert("RGBA").getchannel("A")) > 0
            values = np.asarray(image)
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error, Image.DecompressionBombError) as error:
        raise SourceError(f"{what} is no PNG that can be read: {error}. Export it again.") from error
    if values.ndim != 2:
        raise SourceError(f"{what} has colours and no transparency, so that its pixels tell nothing. Export it again.")
    return values > 0
