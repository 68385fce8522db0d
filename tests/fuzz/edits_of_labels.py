"""Edits of what tools of labels write: JSON, text, XML, tables and GeoPackage."""

import random
import re
import sqlite3
from contextlib import closing, suppress
from typing import Any

from .edits_of_bytes import change_bytes
from .edits_of_json import VALUES, change_json

_FAR = 10**15
# Sizes that lie, runs without an end, points that no picture has, text that is long or of no encoding.
LABELS: tuple[Any, ...] = (
    *VALUES,
    7,
    30,
    2**31,
    _FAR,
    -_FAR,
    0.1,
    1e-300,
    str(_FAR),
    "cat",
    "a.jpg",
    "A.JPG",
    "../a.jpg",
    "http://[",
    "data:image/png;base64,AAAA",
    "9" * 5000,
    "o" * 100_000,
    "\0\n\u202e",
    [_FAR],
    [0, _FAR],
    [_FAR, 1, _FAR],
    [2**62, 2**62],
    [0] * 10_000,
    [[0, 0], [1e6, 0], [1e6, 1e6], [0, 1e6]],
    [[-1e6, -1e6], [1e6, -1e6], [0, 1e6]],
    [0, 0, 10**12, 0, 10**12, 10**12],
    [[1e-320, 0], [1, float("nan")], [2, 2]],
    [[1, 2], [3]],
    {"size": [20, 30], "counts": [_FAR]},
    {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": [20, 30], "counts": "o" * 100_000},
    {"1": True, "2": "cat"},
)
_WORDS = (
    *(
        "",
        "nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "1",
        "5.5",
        "256",
        "1e9",
        "1e400",
        "0x10",
        "\u0663",
        "999999999999999999999",
    ),
    *(
        "9" * 5000,
        "\0",
        "\u00e9",
        "\ufeff",
        "<",
        ">",
        "</",
        "<!DOCTYPE a>",
        "&lt;",
        "&a;",
        '"',
        "'",
        "\n",
        "\r",
        "\n\n",
    ),
    *(",", ";", ":", "#", "#ff00", "#804000", "*a", "&a", "!!python/object:os.system", "- ", "[", "]", "{", "}", "| "),
    *("car", "road", "../../a.jpg", "/etc/passwd", "images/a.jpg", "0 0 0", "255 255 255", "\t" * 1000, "a" * 70_000),
)


def change_labels(data: bytes, where: float, draw: random.Random) -> bytes:
    """JSON with a value that a file of labels may hold, and no picture fits."""
    return change_json(data, where, draw, LABELS)


def change_text(data: bytes, where: float, draw: random.Random) -> bytes:
    """Text with a word, a number or what stands between them changed, removed, doubled or put elsewhere."""
    try:
        parts = re.split(r"([\s,;:\"<>=_#/{}\[\]]+)", data.decode())
    except ValueError:
        return change_bytes(data, where, draw)
    index = int(where * len(parts))
    kind = draw.choice(("replace", "replace", "replace", "delete", "copy", "exchange", "repeat"))
    if kind == "delete":
        del parts[index]
    elif kind == "copy":
        parts[index:index] = parts[index : index + draw.choice((1, 2, 7))]
    elif kind == "exchange":
        other = draw.randrange(len(parts))
        parts[index], parts[other] = parts[other], parts[index]
    elif kind == "repeat":
        parts[index] *= draw.choice((2, 100))
    else:
        parts[index] = draw.choice(_WORDS)
    return "".join(parts).encode()


def change_geopackage(data: bytes, where: float, draw: random.Random) -> bytes:
    """A data base with a cell changed; geometries get edits of their bytes."""
    with closing(sqlite3.connect(":memory:")) as base, suppress(sqlite3.Error, OverflowError, ValueError, MemoryError):
        base.deserialize(data)
        base.execute("PRAGMA writable_schema=ON")
        tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        likely = [name for name in tables if not name.startswith(("rtree", "sqlite"))]
        cells = [
            (name, row, column, value)
            for name in likely
            for row, *values in base.execute(f'SELECT rowid, * FROM "{name}"').fetchall()
            for column, value in zip(_columns(base, name), values, strict=True)
        ]
        name, row, column, value = cells[int(where * len(cells))]
        if isinstance(value, bytes):
            new: Any = change_bytes(value, draw.random(), draw)
        else:
            new = draw.choice((None, -1, 0, 4326, 2**62, 0.5, "", "undefined", "\0", "EPSG", b"\0", b"GP", "a" * 9999))
        for trigger in [n for (n,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
            base.execute(f'DROP TRIGGER "{trigger}"')
        base.execute(f'UPDATE "{name}" SET "{column}" = ? WHERE rowid = ?', (new, row))
        base.commit()
        return base.serialize()
    return change_bytes(data, where, draw)


def _columns(base: sqlite3.Connection, table: str) -> list[str]:
    return [column[1] for column in base.execute(f'PRAGMA table_info("{table}")')]
