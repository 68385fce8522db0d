"""Tables of classes and their colours, as they lie beside masks."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from ..class_files import read_class_file, read_lines
from ..folder_errors import FolderError
from .export import ClassLabel, SourceError
from .source import Source

# Of files that name classes, the likeliest first.
_NAMES = re.compile(
    r"(labelmap\.txt|class_dict.*\.csv|.*colou?r.*\.(txt|csv|json)|classes\.(txt|csv|json)|_?classes.*\.csv|"
    r"(class|label)(es|s|_?names)?\.(txt|csv|json)|palette\.(txt|csv|json))"
)
_CONFIG = re.compile(r"config(?:[-_]v?[\d.]*\d)?\.json")
# What a table calls pixels that have no class.
NO_CLASS = frozenset({"void", "ignore", "ignored", "__ignore__", "unlabelled", "unlabeled", "unlabelled area"})
# What JSON calls the name of a class.
_KEYS = ("name", "label", "title", "class", "class_name")
_FIRST = re.compile(r"\s*(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\D.*?)\s*")


def find_class_file(source: Source) -> str | None:
    """The file beside masks that most likely names their classes; None if there is none."""
    found = [name for name in source.files if _NAMES.fullmatch(PurePosixPath(name).name.lower())]
    if not found:
        return next((name for name in source.files if _is_config_of_labels(source, name)), None)
    return min(found, key=lambda name: (name.count("/"), "map" not in name, len(name), name))


def _is_config_of_labels(source: Source, name: str) -> bool:
    """Whether a file is such as Mapillary Vistas' ``config_v1.2.json``, whose name may be that of anything."""
    if not _CONFIG.fullmatch(PurePosixPath(name).name.lower()) or not source.holds(name, b'"labels"', b'"color"'):
        return False
    try:
        return bool(read_classes(source.path(name)))
    except SourceError:
        return False


def read_classes(path: Path) -> list[ClassLabel]:
    """Classes of a file, in its order, with their colours where it has them.

    Args:
        path: ``classes.txt`` as :mod:`internvl_seg.data.class_files` has it, CVAT's ``labelmap.txt``, lines with the
            colour first, a CSV file with columns of names and colours, or JSON.

    Raises:
        SourceError: It is none of these.
    """
    try:
        text = "\n".join(read_lines(path))
    except FileNotFoundError:
        raise SourceError(f"{path} is not there. Name a file of class names, one a line.") from None
    except FolderError as error:
        raise SourceError(str(error)) from error
    if path.suffix.lower() == ".csv":
        found = _of_csv(text, path)
    elif path.suffix.lower() == ".json":
        found = _of_json(text, path)
    elif lines := _colours_first(text):
        found = lines
    else:
        try:
            found = [ClassLabel(*pair) for pair in read_class_file(path)]
        except FolderError as error:
            raise SourceError(str(error)) from error
    names = [label.name for label in found]
    if twice := next((name for name, number in Counter(names).items() if number > 1), None):
        raise SourceError(f"{path} names {twice!r} twice. Every class has a name of its own.")
    return found


def _colours_first(text: str) -> list[ClassLabel]:
    """Lines such as ``64 128 64 Animal``, as of CamVid; empty if not all are."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [_FIRST.fullmatch(line) for line in lines]
    matches = [match for match in found if match]
    if not lines or len(matches) < len(lines):
        return []
    return [ClassLabel(match[4], _colour(match.group(1, 2, 3))) for match in matches]


def _of_csv(text: str, path: Path) -> list[ClassLabel]:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(map(str.strip, row))]
    except csv.Error as error:
        raise SourceError(f"{path} is no CSV: {error}. Save it again.") from error
    header = [cell.lower() for cell in rows[0]] if rows else []
    name = next((i for i, cell in enumerate(header) if re.fullmatch(r".*(name|class|label|category)s?", cell)), None)
    if name is None:
        raise SourceError(
            f"{path}: no column of {header} is called name, class or label. Expected a first line such as name,r,g,b."
        )
    channels = [
        next((i for i, cell in enumerate(header) if re.fullmatch(rf"{colour}|{colour[0]}", cell)), None)
        for colour in ("red", "green", "blue")
    ]
    single = next((i for i, cell in enumerate(header) if re.fullmatch(r"(colou?r|rgb|hex).*", cell)), None)
    found = []
    for row in rows[1:]:
        colour = None
        if None not in channels:
            colour = _colour([row[i] for i in channels if i is not None and i < len(row)])
        elif single is not None and single < len(row):
            colour = _any_colour(row[single])
        if (None not in channels or single is not None) and colour is None:
            raise SourceError(f"{path}: the line {','.join(row)!r} has no colour of three numbers from 0 to 255.")
        if name >= len(row) or not row[name]:
            raise SourceError(f"{path}: the line {','.join(row)!r} has no name in the column {header[name]!r}. Add it.")
        found.append(ClassLabel(row[name], colour))
    if not found:
        raise SourceError(f"{path} names no class below its first line.")
    return found


def _of_json(text: str, path: Path) -> list[ClassLabel]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {error}.") from error
    rows: list[tuple[Any, Any]] = []
    if isinstance(content, dict):
        lists = [
            value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        single = next(iter(content.values()), None) if len(content) == 1 else None
        inside = content.get("classes", content.get("labels", single))
        if isinstance(inside, list) and (len(content) == 1 or [inside] == lists):
            content = inside
    if isinstance(content, dict):
        rows = [(key, value) for key, value in content.items()]
    elif isinstance(content, list):
        rows = [
            (next((one[key] for key in _KEYS if key in one), None), one.get("color", one.get("colour")))
            if isinstance(one, dict)
            else (one, None)
            for one in content
        ]
    found = [ClassLabel(name, _any_colour(value)) for name, value in rows if isinstance(name, str) and name.strip()]
    if not rows or len(found) < len(rows):
        raise SourceError(f'{path} is no table of classes. Expected {{"name": [red, green, blue], ...}}.')
    return found


def hex_colour(text: str) -> tuple[int, int, int] | None:
    """RGB of ``#rrggbb``; None if it is none."""
    if not re.fullmatch(r"#?[0-9A-Fa-f]{6}", text):
        return None
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _any_colour(value: Any) -> tuple[int, int, int] | None:
    if isinstance(value, str):
        if (colour := hex_colour(value.strip())) is not None:
            return colour
        value = re.findall(r"\d+", value)
    return _colour(value) if isinstance(value, (list, tuple)) else None


def _colour(parts: Any) -> tuple[int, int, int] | None:
    try:
        red, green, blue = (int(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return (red, green, blue) if max(red, green, blue) <= 255 and min(red, green, blue) >= 0 else None
