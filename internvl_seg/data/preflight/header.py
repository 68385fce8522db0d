"""What an image file says of itself without being decoded, and whether it goes to its end."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

from mmengine import fileio
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from ..archives import file_of

_PNG, _TIFF = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _BANDS, _FORMAT, _WIDTH, _LENGTH = 258, 277, 339, 256, 257
_IEEE = 3  # TIFF's SampleFormat of floating point.
_ENDS = 4096
# What Pillow raises on damaged files; ValueError and the like come from parsing bytes.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, struct.error, zlib.error)


@dataclass(frozen=True)
class Header:
    """The head of an image file.

    Attributes:
        format: Pillow's name of the format, such as 'PNG'; '' if it does not know it.
        mode: Pillow's name of the kind of pixels; '' if it does not know it.
        bands: Number of values of a pixel; 0 if unknown.
        bits: Of each of them; 0 if unknown.
        is_float: Whether they are floating-point numbers.
        size: (height, width) as stored; (0, 0) if unknown.
        orientation: EXIF's; 1 is upright.
        has_alpha: Whether it has transparency.
    """

    format: str = ""
    mode: str = ""
    bands: int = 0
    bits: int = 0
    is_float: bool = False
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    has_alpha: bool = False

    @property
    def sort(self) -> tuple[str, str, int, int, bool]:
        """What files share that are decoded in one way."""
        return self.format, self.mode, self.bands, self.bits, self.is_float

    @property
    def kind(self) -> str:
        """What it holds, in words: 'TIFF, 5 bands of 16 bits'."""
        name = "floating-point numbers of " if self.is_float else ""
        bands = f"{self.bands} band{'s' if self.bands != 1 else ''} of {name}{self.bits} bits" if self.bands else ""
        return ", ".join(part for part in (self.format, bands) if part) or "an unknown format"


def open_image_file(path: str) -> BinaryIO:
    """A file, or one in an archive, which is read whole."""
    return io.BytesIO(fileio.get(path)) if file_of(path) != path else open(path, "rb")


def read_header(file: BinaryIO) -> Header:
    """Read the head of a file.

    Args:
        file: The open file, at any place.

    Raises:
        Image.DecompressionBombError: It has more pixels than Pillow opens.
        OSError: It cannot be opened, or is no image that is known here.
    """
    file.seek(0)
    tags = _tiff_tags(file) if file.read(4) in _TIFF else None
    try:
        with Image.open(file) as image:
            depth = _bits(image)
            header = Header(
                format=image.format or "",
                mode=image.mode,
                bands=len(image.getbands()),
                bits=depth,
                is_float=image.mode == "F",
                size=(image.height, image.width),
                orientation=_orientation(image),
                has_alpha=image.has_transparency_data,
            )
    except UnidentifiedImageError:
        if tags is None:
            raise
        header = Header(format="TIFF", size=(_first(tags, _LENGTH, 0), _first(tags, _WIDTH, 0)))
    if tags is None:
        return header
    # Pillow opens five bands as three, and 16 bits of colours as 8.
    return Header(
        format="TIFF",
        mode=header.mode,
        bands=_first(tags, _BANDS, 1),
        bits=_first(tags, _BITS, 1),
        is_float=_first(tags, _FORMAT, 1) == _IEEE,
        size=header.size,
        orientation=header.orientation,
        has_alpha=header.has_alpha,
    )


def _orientation(image: Image.Image) -> int:
    # PNG's own method decodes the whole image first.
    found = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    return found if isinstance(found, int) else 1


def _bits(image: Image.Image) -> int:
    if image.mode == "1":
        return 1
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0].args) if tiles else ""  # 'RGB;16B' of a PNG that is opened as RGB.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG") or ";16" in raw:
        return 16
    return 32 if image.mode[0] in "IF" else 8


def _tiff_tags(file: BinaryIO) -> Any:
    file.seek(0)
    start = file.read(16)
    is_big = 43 in start[2:4]  # TIFF's number for files of more than 4 GB; others have 42.
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(start if is_big else start[:8])
        file.seek(tags.next)
        tags.load(file)
    except DAMAGED:
        return None
    return tags


def _first(tags: Any, number: int, default: int) -> int:
    found = tags.get(number, default)
    return int(found[0] if isinstance(found, tuple) else found)


def read_ends(file: BinaryIO) -> tuple[bytes, bytes, int]:
    """The first and the last bytes of a file, and its length."""
    start = file.read(_ENDS)
    length = file.seek(0, 2)
    file.seek(max(0, length - _ENDS))
    return start, file.read(), length


def seems_whole(tail: bytes, header: Header) -> bool:
    """Whether a file's last bytes have the mark that ends its format; formats without one never seem so."""
    return (header.format == "PNG" and b"IEND" in tail) or (header.format in ("JPEG", "MPO") and b"\xff\xd9" in tail)


def check_claims(path: str) -> None:
    """Refuse a file without content, and a PNG of which a part says that it is longer than the whole file.

    OpenCV takes memory for such a part, up to 2 GiB.

    Raises:
        ValueError: It is one.
        OSError: It cannot be read.
    """
    with open_image_file(path) as file:
        length = file.seek(0, 2)
        if not length:
            raise ValueError("the file has no content")
        file.seek(0)
        is_png = file.read(len(_PNG)) == _PNG
        while is_png and len(start := file.read(8)) == 8:
            part = int.from_bytes(start[:4], "big")
            if part > length:
                raise ValueError(f"it is cut off or damaged: a part is to have {part} bytes, and the file has {length}")
            file.seek(part + 4, 1)


def find_damage(path: str, header: Header) -> str:
    """What is damaged or missing in a file that a decoder read without a word; '' if nothing is.

    OpenCV fills what is cut off with grey. Marks and checksums are looked at; where a format has none, Pillow decodes.
    """
    if header.format == "PNG":
        with open_image_file(path) as file:
            return _png_damage(file.read())
    if not header.format:
        return ""
    if header.format == "JPEG":
        with open_image_file(path) as file:
            if seems_whole(read_ends(file)[1], header):
                return ""
    try:
        with open_image_file(path) as file, Image.open(file) as image:
            image.load()
    except Image.DecompressionBombError:
        return ""  # Pillow opens no more; the reader did.
    except (OSError, EOFError, SyntaxError) as error:
        # Other words are of kinds that Pillow cannot decode, and the reader could.
        told = str(error)
        return told if "truncated" in told or "broken" in told else ""
    return ""


def _png_damage(content: bytes) -> str:
    position = len(_PNG)
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        end = position + 12 + length
        name = content[position + 4 : position + 8]
        if end > len(content):
            break
        if zlib.crc32(content[position + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            return f"its part {name!r} at byte {position} is damaged (checksum)"
        if name == b"IEND":
            return ""
        position = end
    return f"it is cut off after {len(content)} bytes"
