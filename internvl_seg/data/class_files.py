"""``classes.txt``: the names of classes in the order of their ids, one a line, each with a colour if one is wanted.

A line is a name, or a name and a colour: ``#rrggbb``, or three whole numbers from 0 to 255. Blanks, commas, tabs,
semicolons or a colon part the name from the colour and the numbers from each other::

    # Lines that begin with # are remarks.
    background
    road 2
    road 3  128 64 0
    sign symbol 192 128 128
    water, 0, 0, 255
    tree #00ff00
    "zone 1 2 3"

A name may hold blanks and digits: one or two numbers behind blanks belong to it, and those before a colour's three. A
name that would be read as something else stands in double quotes, which may be followed by a colour. Lines may be
numbered from 0 in order, as in ``0: background``. Empty lines before the first name and after the last are passed over;
one between two is an error, since it may stand for an id without a name.
"""

import codecs
import logging
import re
from pathlib import Path
from typing import TypeAlias

from .folder_errors import PAGE, FolderError

Colour: TypeAlias = tuple[int, int, int]

_logger = logging.getLogger(__name__)
# UTF-32's mark for little endian begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUOTED = re.compile(r'"([^"]*)"(.*)')
_HEX = re.compile(r"(.*?)[\s,;:]+#([0-9A-Fa-f]+)")
_NUMBER = re.compile(r"(\s*[,;:]\s*|\s+)([-+]?[0-9]+(?:\.[0-9]+)?)")
_NUMBERS = re.compile(rf"(.*?[^\s,;:])??((?:{_NUMBER.pattern})+)")
_CVAT = re.compile(r"(.*:\s*[0-9]+,\s*[0-9]+,\s*[0-9]+):[^:]*:[^:]*")
_NUMBERED = re.compile(r"([0-9]{1,9})\s*[:,;=\t]\s*(?=\S)")
_RGBA = re.compile(r"(?:[\s,;:]+[0-9]+){3}[\s,;:]+255$")
_COLUMNS = frozenset(
    {
        *("id", "index", "class", "class_id", "class id", "class_name", "class name", "classes", "name", "label"),
        *("label_name", "r", "g", "b", "red", "green", "blue", "rgb", "color", "colour", "hex", "value"),
    }
)
_CHANNELS = 3
_MOST = 2**16
_HEX_DIGITS = 6
_HEX_LIKE = (3, 4, 6, 8)
_EXPECTED = "#rrggbb, or three whole numbers from 0 to 255"


class ClassFileError(FolderError):
    """A file of class names cannot be read; the message names the file and the line."""


def read_class_file(path: Path) -> list[tuple[str, Colour | None]]:
    """Names and colours of classes in the order of their ids; the module says what a line may be.

    Args:
        path: The file: UTF-8 with or without a byte order mark, UTF-16 or UTF-32 with one, or else Windows-1252, of
            which Latin-1's letters are a part. Lines end as on Linux, Windows or old Macs.

    Returns:
        (name, colour) of each class, the colour None where there is none. No two names are equal; colours may be.

    Raises:
        ClassFileError: It is no text, or a line is neither; or it names no class, or one twice.
    """
    where = Path(path)
    lines = [line.strip() for line in read_lines(where)]
    kept = [(number, line) for number, line in enumerate(lines, start=1) if not line.startswith("#")]
    while kept and not kept[0][1]:
        del kept[0]
    while kept and not kept[-1][1]:
        del kept[-1]
    if not kept:
        raise ClassFileError(f"{where} names no class. Expected one name a line, in the order of the ids ({PAGE}).")
    for number, line in kept:
        if not line:
            raise ClassFileError(
                f"{where}:{number} is empty, between names: is it an id without a name? Lines are ids, from 0 up. Name "
                f"the class, or take the line away ({PAGE})."
            )
    if len(kept) > _MOST:
        raise ClassFileError(f"{where} has {len(kept)} lines; masks of 16 bits have {_MOST} ids. Is it another file?")
    classes = [_read_line(line, f"{where}:{number}") for number, line in _without_numbers(kept, where)]
    _check_header(kept, classes, where)
    _check_alpha(kept, classes, where)
    first: dict[str, int] = {}
    for (number, _), (name, _) in zip(kept, classes, strict=True):
        if name in first:
            raise ClassFileError(
                f"{where}:{number} names {name!r} again, after line {first[name]}. Every id has a name of its own; to "
                f"put two ids into one class, change the masks ({PAGE})."
            )
        first[name] = number
    return classes


def read_lines(path: Path) -> list[str]:
    """The lines of a text of whichever encoding.

    Args:
        path: The file, as :func:`read_class_file` takes it.

    Raises:
        ClassFileError: It is no text.
    """
    return re.split(r"\r\n|\r|\n", _read_text(path))


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                text = content[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise ClassFileError(
                    f"{path} begins as {encoding.upper()} and is none: {error.reason} at byte {error.start}. Save it "
                    "again as UTF-8."
                ) from error
            return _checked(text, path)
    try:
        return _checked(content.decode("utf-8"), path)
    except UnicodeDecodeError:
        try:
            text = _checked(content.decode("cp1252"), path)
        except UnicodeDecodeError as error:
            raise ClassFileError(
                f"{path} is no UTF-8, and no Windows-1252 (Latin-1) either: byte {error.start} is "
                f"{content[error.start]:#04x}. Save it again as UTF-8."
            ) from error
    odd = next(line for line in text.splitlines() if not line.isascii())
    _logger.warning(
        "%s is no UTF-8 and is read as Windows-1252 (Latin-1): %r. Save it as UTF-8 if that is not what it says.",
        path,
        odd.strip(),
    )
    return text


def _checked(text: str, path: Path) -> str:
    if found := _CONTROL.search(text.replace("\r", "\n")):
        line = text.count("\n", 0, found.start()) + 1
        what = "no text, or UTF-16 without a byte order mark" if found[0] == "\0" else "no plain text"
        raise ClassFileError(f"{path}:{line} holds the character {found[0]!r}: it is {what}. Save it again as UTF-8.")
    return text


def _without_numbers(lines: list[tuple[int, str]], path: Path) -> list[tuple[int, str]]:
    """Lines without the numbers that all of them begin with."""
    found = [_NUMBERED.match(line) for _, line in lines]
    numbers = [int(match[1]) for match in found if match]
    if len(numbers) < len(lines):
        return lines
    for place, ((line, _), number) in enumerate(zip(lines, numbers, strict=True)):
        if number != place:
            raise ClassFileError(
                f"{path}:{line} has number {number}, but is the line of id {place}. Sort the lines by id, from 0 up, "
                f"without a gap ({PAGE})."
            )
    return [(line, text[match.end() :]) for (line, text), match in zip(lines, found, strict=True) if match]


def _check_header(lines: list[tuple[int, str]], classes: list[tuple[str, Colour | None]], path: Path) -> None:
    """See that the first name is not that of columns, and that names are not all in one line."""
    number, line = lines[0]
    if line.startswith('"') and "," not in line.rpartition('"')[2]:
        return
    words = [word.strip().strip('"').lower() for word in re.split(r"[,;\t]", line)]
    if len(words) > 1 and len(lines) > 1 and _COLUMNS.issuperset(words):
        raise ClassFileError(
            f"{path}:{number}: {line!r} seems to be a header. Take it away, or begin it with # ({PAGE})."
        )
    if len(lines) == 1 and (line[0] in "[{(" or (len(words) > 1 and classes[0][1] is None)):
        raise ClassFileError(f"{path}:{number}: {line!r} names several classes in one line. Write one a line ({PAGE}).")


def _check_alpha(lines: list[tuple[int, str]], classes: list[tuple[str, Colour | None]], path: Path) -> None:
    """See that colours are not the last three of four numbers: of red, green, blue and opacity."""
    opaque = [
        colour is not None and bool(_RGBA.search(line)) for (_, line), (_, colour) in zip(lines, classes, strict=True)
    ]
    if all(opaque) and len(lines) > 1:
        raise ClassFileError(
            f"{path}:{lines[0][0]}: {lines[0][1]!r}, as every line, ends in four numbers, the last 255. Leave the "
            f"opacity out, or put names that end in a number into double quotes ({PAGE})."
        )


def _read_line(line: str, where: str) -> tuple[str, Colour | None]:
    quoted = _QUOTED.fullmatch(line)
    rest = quoted[2] if quoted else f" {line}"  # So that a colour alone is one, too.
    if found := _CVAT.fullmatch(rest):
        rest = found[1]
    colour: Colour | None = None
    if (found := _HEX.fullmatch(rest)) and len(found[2]) in _HEX_LIKE:
        colour = _from_hex(found[2], where)
        rest = found[1]
    elif found := _NUMBERS.fullmatch(rest):
        more, colour = _from_numbers(found[2], where)
        rest = (found[1] or "") + more
    rest = rest.strip()
    if quoted and rest:
        raise ClassFileError(
            f"{where}: {line!r} has {rest!r} behind the quoted name. Expected nothing there, or a colour: "
            f"{_EXPECTED} ({PAGE})."
        )
    name = quoted[1].strip() if quoted else rest
    if not name:
        raise ClassFileError(
            f"{where}: {line!r} has no name. Expected a name, and behind it a colour if one is wanted."
        )
    return name, colour


def _from_numbers(text: str, where: str) -> tuple[str, Colour | None]:
    """What of the numbers at a line's end belongs to the name, and the colour that the last three are.

    One or two numbers behind blanks belong to the name, as of 'road 2', and so do those before the last three.
    """
    found = _NUMBER.findall(text)
    marks, values = ["".join(mark.split(" ")) for mark, _ in found], [value for _, value in found]
    more = len(values) - _CHANNELS
    if more < 0 and not any(marks):
        return text, None
    colour = values[more:] if more > 0 and not any(marks[:more]) else values
    if len(colour) != _CHANNELS or not all(map(_is_channel, colour)):
        raise ClassFileError(
            f"{where}: {', '.join(values)} is no colour. Expected {_EXPECTED}; if it belongs to the name, put the name "
            f"into double quotes ({PAGE})."
        )
    red, green, blue = map(int, colour)
    return "".join(mark + value for mark, value in found[: max(more, 0)]), (red, green, blue)


def _is_channel(text: str) -> bool:
    return text.isdigit() and len(text) < 10 and int(text) <= 255  # Python makes no number of thousands of digits.


def _from_hex(digits: str, where: str) -> Colour:
    if len(digits) != _HEX_DIGITS:
        raise ClassFileError(
            f"{where}: #{digits} is no colour. Expected {_EXPECTED}; if it belongs to the name, put the name into "
            f"double quotes ({PAGE})."
        )
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
