"""What is done to a file: edits of bytes, and edits that know JSON, text, safetensors, zip, pickle, PNG and TIFF.

An edit is a name, a place (a share of the file, or of its parts) and a number from which all else about it follows, so
that a list of edits is plain data that can be kept and applied again.
"""

import io
import pickletools
import random
import struct
import zipfile
import zlib
from pathlib import PurePath

from hypothesis import strategies as st

from .edits_of_bytes import BYTES, Change, change_bytes, overwrite
from .edits_of_json import change_json
from .edits_of_labels import change_geopackage, change_labels, change_text

Edit = tuple[str, float, int]


def _safetensors(data: bytes, where: float, draw: random.Random) -> bytes:
    """With a header changed as JSON, or numbers of a tensor that are no numbers."""
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        return change_bytes(data, where, draw)
    if draw.random() < 0.25:
        return data[: 8 + size] + overwrite(data[8 + size :], where, draw)
    header = change_json(data[8 : 8 + size], where, draw)
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
        return change_bytes(data, where, draw)
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
        return change_bytes(data, where, draw)
    if not members:
        return data
    index = draw.randrange(len(members))
    if any(name.endswith("data.pkl") for name, _ in members) and draw.random() < 0.6:
        index = next(i for i, (name, _) in enumerate(members) if name.endswith("data.pkl"))
    name, content = members[index]
    compression = zipfile.ZIP_STORED
    kind = draw.choice(("change", "change", "change", "change", "remove", "repeat", "rename", "compress"))
    if kind == "change":
        change = _pickle if name.endswith("data.pkl") else change_bytes
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
        return change_bytes(data, where, draw)
    index = int(where * len(chunks))
    name, content = chunks[index]
    kind = draw.choice(("change", "change", "remove", "repeat", "size"))
    if kind == "change":
        chunks[index] = name, change_bytes(content, draw.random(), draw)
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
        return change_bytes(data, where, draw)
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    at = start + 2 + 12 * int(where * max(count, 1)) + draw.choice((0, 2, 4, 8, 8, 8))
    value = draw.choice((0, 1, 2, 8, 16, 255, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1, start, len(data)))
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


_OF_SUFFIX: dict[str, tuple[str, Change]] = {
    ".json": ("json", change_json),
    ".safetensors": ("safetensors", _safetensors),
    ".pth": ("zip", _zip),
    ".zip": ("zip", _zip),
    ".png": ("png", _png),
    ".tif": ("tiff", _tiff),
}
# Before PyTorch 1.6 checkpoints were pickles one after the other.
LEGACY = "legacy"
# What tools of labels write; other JSON gets other values.
LABELS = "exports/"
_OF_LABELS: dict[str, tuple[str, Change]] = {
    **dict.fromkeys((".json", ".geojson"), ("labels", change_labels)),
    **dict.fromkeys((".txt", ".csv", ".xml", ".yaml"), ("text", change_text)),
    ".gpkg": ("geopackage", change_geopackage),
}
_ALL: dict[str, Change] = {**BYTES, LEGACY: _pickle, **dict(_OF_SUFFIX.values()), **dict(_OF_LABELS.values())}


def edits(name: str) -> st.SearchStrategy[list[Edit]]:
    """Lists of edits for a file of some name: of bytes, or such that know its format, or both."""
    of_bytes, of_format = list(BYTES), _of_format(name)
    kinds = [of_bytes, of_format, of_format + of_bytes] if of_format else [of_bytes]
    return st.one_of(*map(_lists, kinds))


def _of_format(name: str) -> list[str]:
    if LEGACY in name:
        return [LEGACY]
    known = {**_OF_SUFFIX, **(_OF_LABELS if name.startswith(LABELS) else {})}
    suffix = PurePath(name).suffix
    return [known[suffix][0]] if suffix in known else []


def _lists(kinds: list[str]) -> st.SearchStrategy[list[Edit]]:
    place, number = st.floats(0, 1, exclude_max=True, width=32), st.integers(0, 2**32 - 1)
    return st.lists(st.tuples(st.sampled_from(kinds), place, number), min_size=1, max_size=4)


def apply(data: bytes, changes: list[Edit]) -> bytes:
    """The bytes of a file after some edits."""
    for kind, where, number in changes:
        data = _ALL[kind](data, where, random.Random(number))
    return data
