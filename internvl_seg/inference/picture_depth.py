"""How many bits a channel a picture has in its file, where Pillow makes 8 of them without a word."""

import struct
from typing import IO

from PIL import Image

_BITS_PER_SAMPLE = 258
# Start of a codestream of JPEG 2000 and of its sizes; the number of channels stands 40 bytes further.
_START = b"\xff\x4f\xff\x51"
_SEARCHED = 1 << 20


def bits_per_channel(picture: Image.Image) -> int:
    """Bits a channel of a picture that was opened and not yet decoded; 8 if it is not known to have more.

    Args:
        picture: The picture. Of one in memory it is what its mode says.
    """
    if picture.mode.startswith(("I", "F")):
        return 16 if ";16" in picture.mode else 32
    found = [8]
    for tile in getattr(picture, "tile", ()):
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if any(";16" in arg for arg in args if isinstance(arg, str)) or tile.codec_name == "SGI16":
            found.append(16)
        if tile.codec_name in ("ppm", "ppm_plain") and isinstance(args[-1], int):
            found.append(args[-1].bit_length())
        if tile.codec_name == "sgi_rle":
            found.append(8 * int(args[-1]))
    if hasattr(picture, "tag_v2"):
        found += picture.tag_v2.get(_BITS_PER_SAMPLE, ())
    if picture.format == "JPEG2000" and (file := getattr(picture, "fp", None)) is not None:
        found += _bits_of_jpeg_2000(file)
    return max(found)


def _bits_of_jpeg_2000(file: IO[bytes]) -> list[int]:
    position = file.tell()
    file.seek(0)
    head = file.read(_SEARCHED)
    file.seek(position)
    start = head.find(_START)
    if start < 0 or len(head) < start + 42:
        return []
    (count,) = struct.unpack_from(">H", head, start + 40)
    return [(bits & 0x7F) + 1 for bits in head[start + 42 : start + 42 + 3 * count : 3]]
