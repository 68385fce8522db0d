"""What is done to a file: edits of bytes, and edits that know JSON, safetensors, zip, pickle, PNG and TIFF.

An edit is a name, a place (a share of the file, or of its parts) and a number from which all else about it follows, so
that a list of edits is plain data that can be kept and applied again.
"""

import io
import json
import pickletools
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from hypothesis import strategies as st

Edit = tuple[str, float, int]
_Change = Callable[[bytes, float, random.Random], bytes]

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
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    3,
    0.5,
    10**9,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "F32",
    "64",
    "rms_norm",
    "../model.safetensors",
    "/etc/passwd",
    "\0",
    "\ud800",
    [],
    {},
    [None],
    [0, 0],
    [64, "a"],
    [-1],
    [1 << 40],
    {"a": {}},
    [[[[[]]]]],
)


def _flip(data: bytes, where: float, draw: random.Random) -> bytes:
    at = int(where * len(data))
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :] if data else data


def _overwrite(data: bytes, where: float, draw: random.Random) -> bytes:
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


BYTES: dict[str, _Change] = {
    "flip": _flip,
    "overwrite": _overwrite,
    "insert": _insert,
    "cut": _cut,
    "behead": _behead,
    "remove": _remove,
    "repeat": _repeat,
    "noise": _noise,
}


def _change_bytes(data: bytes, where: float, draw: random.Random) -> bytes:
    return draw.choice(list(BYTES.values()))(data, where, draw)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values in a JSON document, itself included."""
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [path, *(place for key in keys for place in _places(node[key], (*path, key)))]


def _change_value(document: Any, where: float, draw: random.Random) -> Any:
    """A JSON document with a value replaced, removed, exchanged, added or under another name."""
    places = _places(document)
    path = places[int(where * len(places))]
    value = draw.choice(VALUES)
    if not path:
        return value
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    kind = draw.choice(("replace", "replace", "replace", "delete", "wrap", "rename", "copy"))
    if kind == "delete":
        del parent[key]
    elif kind == "wrap":
        parent[key] = draw.choice(([parent[key]], {"a": parent[key]}, str(parent[key])))
    elif kind == "rename" and isinstance(parent, dict):
        parent[draw.choice(("", "../a", f"{key}.1", str(key).upper(), "vision_config"))] = parent.pop(key)
    elif kind == "copy":
        other = list(parent) if isinstance(parent, dict) else range(len(parent))
        parent[key] = parent[draw.choice(list(other))]
    else:
        parent[key] = value
    return document


def _json(data: bytes, where: float, draw: random.Random) -> bytes:
    try:
        return json.dumps(_change_value(json.loads(data), where, draw)).encode()
    except (ValueError, RecursionError):
        return _change_bytes(data, where, draw)


def _safetensors(data: bytes, where: float, draw: random.Random) -> bytes:
    """With a header changed as JSON, or numbers of a tensor that are no numbers."""
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        return _change_bytes(data, where, draw)
    if draw.random() < 0.25:
        return data[: 8 + size] + _overwrite(data[8 + size :], where, draw)
    header = _json(data[8 : 8 + size], where, draw)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


_OPCODES = (
    b"N", b"\x88", b"}", b")", b"]", b"K\x01", b"M\xff\xff", b"J\xff\xff\xff\xff", b"\x8a\x09" + b"\xff" * 8 + b"\x7f",
    b"G" + struct.pack(">d", float("nan")), b"X\x01\x00\x00\x00a", b"X\xff\xff\xff\x7fa", b"0", b"2", b"(", b"1", b".",
    b"R", b"Q", b"s", b"u", b"a", b"e", b"b", b"t", b"h\x00", b"r\xff\xff\xff\xff", b"\x85", b"\x86", b"\x87",
    b"cos\nmkdir\n", b"cbuiltins\nexec\n", b"cbuiltins\ngetattr\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n", b"ctorch._utils\n_rebuild_sparse_tensor\n", b"ccollections\nOrderedDict\n",
    b"ctorch\nQInt8Storage\n", b"ctorch\nDoubleStorage\n", b"ctorch.serialization\n_get_layout\n", b"cnumpy\nndarray\n",
    b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy._core.multiarray\nscalar\n", b"cnumpy\ndtype\n",
    b"X\x03\x00\x00\x00ran\x85R",
)  # fmt: skip


def _pickle(data: bytes, where: float, draw: random.Random) -> bytes:
    """With an opcode removed, doubled, replaced, put in, or given another argument."""
    try:
        starts = [at for _, _, at in pickletools.genops(data) if at is not None]
    except Exception:
        return _change_bytes(data, where, draw)
    index = int(where * len(starts))
    start = starts[index]
    stop = starts[index + 1] if index + 1 < len(starts) else len(data)
    op = data[start:stop]
    new = draw.choice(
        (b"", op + op, draw.choice(_OPCODES), op + draw.choice(_OPCODES), op[:1] + draw.randbytes(len(op) - 1))
    )
    return data[:start] + new + data[stop:]


def _zip(data: bytes, where: float, draw: random.Random) -> bytes:
    """With a member changed, removed, doubled, renamed or compressed; checksums are right again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:
        return _change_bytes(data, where, draw)
    if not members:
        return data
    index = draw.randrange(len(members))
    if any(name.endswith("data.pkl") for name, _ in members) and draw.random() < 0.6:
        index = next(i for i, (name, _) in enumerate(members) if name.endswith("data.pkl"))
    name, content = members[index]
    compression = zipfile.ZIP_STORED
    kind = draw.choice(("change", "change", "change", "change", "remove", "repeat", "rename", "compress"))
    if kind == "change":
        change = _pickle if name.endswith("data.pkl") else _change_bytes
        members[index] = name, change(content, where, draw)
    elif kind == "remove":
        del members[index]
    elif kind == "repeat":
        members.append((name, content[: int(where * len(content))]))
    elif kind == "rename":
        members[index] = draw.choice(("../ran", "/ran", "", "a\0b", name.upper(), "a/" + name)), content
    else:
        compression = zipfile.ZIP_DEFLATED
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name or "a"), content, compression)
    return made.getvalue()


def _png(data: bytes, where: float, draw: random.Random) -> bytes:
    """With a chunk changed, removed or doubled; its checksum is right again."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return _change_bytes(data, where, draw)
    index = int(where * len(chunks))
    name, content = chunks[index]
    kind = draw.choice(("change", "change", "remove", "repeat", "size"))
    if kind == "change":
        chunks[index] = name, _change_bytes(content, draw.random(), draw)
    elif kind == "remove":
        del chunks[index]
    elif kind == "repeat":
        chunks[index:index] = [(name, content)] * draw.choice((1, 2000))
    elif chunks[0][0] == b"IHDR":
        sides = struct.pack(">II", draw.choice((0, 1, 9, 40_000, 1 << 31)), draw.choice((0, 1, 9, 40_000, 1 << 31)))
        chunks[0] = b"IHDR", sides + chunks[0][1][8:]
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _tiff(data: bytes, where: float, draw: random.Random) -> bytes:
    """With the type, count or value of a tag of its first directory changed."""
    if data[:4] != b"II*\0" or len(data) < 10:
        return _change_bytes(data, where, draw)
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    at = start + 2 + 12 * int(where * max(count, 1)) + draw.choice((0, 2, 4, 8, 8, 8))
    value = draw.choice((0, 1, 2, 8, 16, 255, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1, start, len(data)))
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


_OF_SUFFIX: dict[str, tuple[str, _Change]] = {
    ".json": ("json", _json),
    ".safetensors": ("safetensors", _safetensors),
    ".pth": ("zip", _zip),
    ".zip": ("zip", _zip),
    ".png": ("png", _png),
    ".tif": ("tiff", _tiff),
}
# Before PyTorch 1.6 checkpoints were pickles one after the other.
LEGACY = "legacy"
_ALL: dict[str, _Change] = {**BYTES, LEGACY: _pickle, **dict(_OF_SUFFIX.values())}


def edits(name: str) -> st.SearchStrategy[list[Edit]]:
    """Lists of edits for a file of some name: of bytes, or such that know its format, or both."""
    of_bytes = list(BYTES)
    of_format = [LEGACY] if LEGACY in name else [_OF_SUFFIX[s][0] for s in [PurePath(name).suffix] if s in _OF_SUFFIX]
    kinds = [of_bytes, of_format, of_format + of_bytes] if of_format else [of_bytes]
    return st.one_of(*map(_lists, kinds))


def _lists(kinds: list[str]) -> st.SearchStrategy[list[Edit]]:
    place, number = st.floats(0, 1, exclude_max=True, width=32), st.integers(0, 2**32 - 1)
    return st.lists(st.tuples(st.sampled_from(kinds), place, number), min_size=1, max_size=4)


def apply(data: bytes, changes: list[Edit]) -> bytes:
    """The bytes of a file after some edits."""
    for kind, where, number in changes:
        data = _ALL[kind](data, where, random.Random(number))
    return data
