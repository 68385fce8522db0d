"""Edits of any file's bytes."""

import random
import struct
from collections.abc import Callable

Change = Callable[[bytes, float, random.Random], bytes]

# Written into files at any place: what formats begin with, what parsers stumble over, numbers at their limits.
TOKENS = (
    b"",
    b"\0" * 64,
    b"\xff" * 8,
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x80\x02}q\x00.",
    b"cos\nmkdir\n(S'ran'\ntR.",
    b'cbuiltins\neval\n(S\'open("ran", "w")\'\ntR.',
    b"{",
    b'{"a": ' * 3000,
    b"[" * 100_000,
    b"NaN",
    b"-1",
    b"1e999",
    b"null",
    b"\n",
    b",",
    b'"',
    b"../../",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"/vsicurl/http://127.0.0.1:9/a.tif",
    b"/vsizip//etc/passwd",
    b"version https://git-lfs.github.com/spec/v1\n",
    b"<!doctype html>",
    *(struct.pack("<q", n) for n in (-1, 1 << 31, 1 << 40, (1 << 63) - 1)),
    *(struct.pack("<i", n) for n in (-1, 0, (1 << 31) - 1, 1 << 20)),
    struct.pack(">i", (1 << 31) - 1),
    struct.pack("<f", float("nan")),
    struct.pack("<f", float("inf")),
)


def _flip(data: bytes, where: float, draw: random.Random) -> bytes:
    at = int(where * len(data))
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :] if data else data


def overwrite(data: bytes, where: float, draw: random.Random) -> bytes:
    at, token = int(where * len(data)), draw.choice(TOKENS)
    return data[:at] + token + data[at + len(token) :]


def _insert(data: bytes, where: float, draw: random.Random) -> bytes:
    at = int(where * len(data))
    return data[:at] + draw.choice(TOKENS) + data[at:]


def _cut(data: bytes, where: float, draw: random.Random) -> bytes:
    return data[: int(where * len(data))]


def _behead(data: bytes, where: float, draw: random.Random) -> bytes:
    return data[int(where * len(data)) :]


def _remove(data: bytes, where: float, draw: random.Random) -> bytes:
    at = int(where * len(data))
    return data[:at] + data[at + _length(draw) :]


def _repeat(data: bytes, where: float, draw: random.Random) -> bytes:
    at = int(where * len(data))
    return data[:at] + data[at : at + _length(draw)] * draw.choice((2, 2, 3, 100)) + data[at:]


def _noise(data: bytes, where: float, draw: random.Random) -> bytes:
    at = int(where * len(data))
    made = draw.randbytes(min(_length(draw), len(data) - at))
    return data[:at] + made + data[at + len(made) :]


def _length(draw: random.Random) -> int:
    return 1 << draw.randrange(11)


BYTES: dict[str, Change] = {
    "flip": _flip,
    "overwrite": overwrite,
    "insert": _insert,
    "cut": _cut,
    "behead": _behead,
    "remove": _remove,
    "repeat": _repeat,
    "noise": _noise,
}


def change_bytes(data: bytes, where: float, draw: random.Random) -> bytes:
    return draw.choice(list(BYTES.values()))(data, where, draw)
