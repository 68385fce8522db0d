"""Where the tensors of a ``torch.save`` file lie: both formats that it has had, looked at without running anything."""

import io
import math
import mmap
import pickle
import struct
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from .containers import has_weights
from .errors import (
    CheckpointError,
    NotACheckpointError,
    TruncatedCheckpointError,
    UnsafePickleError,
    list_names,
    printable,
)
from .pickle_names import CheckpointTable, View
from .pickles import find_excess, follow

# The pickle of a file names tensors and their places, not their numbers.
_MOST_PICKLE = 256 << 20
# A tensor may be an expanded view, of few numbers, but not of so few that a small file fills the memory.
_MOST_REPEATED = 64 << 20
# All tensors together are more than there is of them where weights are tied.
_MOST_TIMES = 4
# What torch.save wrote before PyTorch 1.6 begins with this number, pickled.
_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True)
class TorchFile:
    """What a ``torch.save`` file holds.

    Attributes:
        path: The file.
        content: What was saved; of tensors, :class:`View`, and of other objects what stands for them.
        table: The names in it.
        places: Of each storage its first byte and its size in bytes.
        is_zip: Whether it is in the format since PyTorch 1.6.
        swapped: Whether its bytes are in the other order than this machine's.
    """

    path: Path
    content: Any
    table: CheckpointTable
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    is_zip: bool = True
    swapped: bool = False

    def check_repeated(self, views: Iterable[View]) -> None:
        """Check that tensors are not far larger together than what there is of them.

        Raises:
            NotACheckpointError: They are: views that repeat few numbers, or one storage many times.
        """
        views = list(views)
        there = sum(self.places[key][1] for key in {view.storage.key for view in views})
        count = sum(math.prod(view.shape) * view.dtype.itemsize for view in views)
        if count > max(_MOST_TIMES * there, _MOST_REPEATED):
            raise NotACheckpointError(
                f"{self.path} holds tensors of {count:,} bytes together, of which {there:,} are there: the others "
                "repeat these (torch.Tensor.expand). No trained weights do: save what they are, tensor.contiguous()."
            )

    def begin(self, view: View) -> int:
        """The first byte of a tensor.

        Raises:
            TruncatedCheckpointError: It is not within the file.
        """
        start, size = self.places[view.storage.key]
        count = math.prod(view.shape) * view.dtype.itemsize
        if count > max(size, _MOST_REPEATED):
            raise damaged(self.path, f"a tensor of shape {view.shape} repeats {size:,} bytes to fill {count:,}")
        last = view.offset + sum((n - 1) * step for n, step in zip(view.shape, view.stride, strict=True))
        if 0 not in view.shape and (last + 1) * view.dtype.itemsize > size:
            raise damaged(self.path, f"a tensor of shape {view.shape} is larger than its storage of {size:,} bytes")
        return start + view.offset * view.dtype.itemsize


def damaged(path: Path, why: str = "") -> TruncatedCheckpointError:
    """The error for a file that contradicts itself."""
    size = f"{path.stat().st_size:,} bytes"
    return TruncatedCheckpointError(
        f"{path} is cut short or damaged ({size}{'; ' + printable(why) if why else ''}). Download or copy it again."
    )


def look(path: Path) -> TorchFile:
    """Look at a ``torch.save`` file.

    Raises:
        UnsafePickleError: It asks for something other than tensors and plain values.
        TruncatedCheckpointError: It is cut short or contradicts itself.
        NotACheckpointError: ``torch.save`` did not write it.
    """
    table = CheckpointTable()
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            found = (_look_into_zip if is_zip else _look_into_old)(path, file, table)
        for key, storage in table.storages.items():
            if key not in found.places or found.places[key][1] != storage.numel * storage.dtype.itemsize:
                raise damaged(path, f"its storage {key[:40]} is not there, or not of the size that is announced")
    except CheckpointError:
        raise
    except (*DAMAGE, zipfile.BadZipFile, struct.error) as error:
        if table.strange:  # Whatever is wrong with it besides.
            raise _unsafe(path, table) from error
        raise damaged(path, str(error)) from error
    if table.strange:
        raise _unsafe(path, table, has_weights(found.content))
    if excess := find_excess(found.content):
        raise NotACheckpointError(
            f"{path} holds lists or dicts {excess}, as no checkpoint does. Such a file is made to keep its readers "
            "busy without end: take the checkpoint from elsewhere, or of one that you trust save the tensors alone."
        )
    return found


# What Python's and PyTorch's readers raise for files that contradict themselves.
DAMAGE = (
    *(ValueError, RuntimeError, OSError, EOFError, LookupError, ArithmeticError, MemoryError),
    *(TypeError, AttributeError, AssertionError, RecursionError, pickle.UnpicklingError),
)


def _look_into_zip(path: Path, file: IO[bytes], table: CheckpointTable) -> TorchFile:
    size = path.stat().st_size
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
    records = {record.filename: record for record in listed}
    if packed := [name for name, record in records.items() if record.compress_type != zipfile.ZIP_STORED]:
        raise NotACheckpointError(
            f"{path} was packed again: {list_names(packed, 3)} is compressed, which torch.save does not do. "
            "Unpack it and pack it without compression (zip -0 -r), or save it again."
        )

    def place(record: zipfile.ZipInfo) -> tuple[int, int]:
        file.seek(record.header_offset)
        signature, name_size, extra_size = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        begin = record.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        if signature != b"PK\x03\x04" or record.file_size != record.compress_size or begin + record.file_size > size:
            raise damaged(path, f"its record {record.filename[:80]} is not where it should be")
        return begin, record.file_size

    def read(record: zipfile.ZipInfo, most: int) -> bytes:  # Sums are not checked: torch.save may leave them out.
        begin, count = place(record)
        if count > most:
            raise damaged(path, f"its record {record.filename[:80]} has {count:,} bytes")
        file.seek(begin)
        return file.read(count)

    (pickled,) = [name for name in records if name.endswith("/data.pkl") and name.count("/") == 1] or [""]
    if not pickled or len(records) != len(listed):
        raise damaged(path, "its records are not those of torch.save")
    root = pickled.removesuffix("data.pkl")
    order = records.get(root + "byteorder")
    byteorder = read(order, 16) if order else b"little"
    if byteorder not in (b"little", b"big"):
        raise damaged(path, "its byte order is neither little nor big")
    content = follow(io.BytesIO(read(records[pickled], _MOST_PICKLE)), table)
    data = root + "data/"
    places = {name.removeprefix(data): place(record) for name, record in records.items() if name.startswith(data)}
    return TorchFile(path, content, table, places, swapped=byteorder.decode() != sys.byteorder)


def _look_into_old(path: Path, file: IO[bytes], table: CheckpointTable) -> TorchFile:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        stream = cast(IO[bytes], memory)  # It reads as a file does.
        if follow(stream, table) != _MAGIC:
            raise NotACheckpointError(
                f"{path} is a pickle, but not one of torch.save. In the program that made it, write its tensors with "
                "torch.save or as .safetensors."
            )
        follow(stream, table)  # The version of the format.
        follow(stream, table)  # The machine that wrote it.
        content, keys = follow(stream, table), follow(stream, table)
        places: dict[str, tuple[int, int]] = {}
        for key in map(str, keys):
            (numel,) = struct.unpack("<q", memory.read(8))
            storage = table.storages.get(key)
            if storage is None or storage.numel != numel or key in places:
                raise damaged(path, f"its storage {key[:40]} is not as it was announced")
            places[key] = (memory.tell(), numel * storage.dtype.itemsize)
            memory.seek(places[key][1], io.SEEK_CUR)  # Not beyond the end of the file.
    return TorchFile(path, content, table, places, is_zip=False)


def _unsafe(path: Path, table: CheckpointTable, beside_weights: bool = False) -> UnsafePickleError:
    wanted, origin = printable(table.worst()), "If you trust its origin, load it yourself and save its tensors"
    if not beside_weights and any(name.startswith("torch.nn.modules.") for name in table.named):
        return UnsafePickleError(
            f"{path} holds a whole module, as torch.save(model) writes it, with code that would have to be run (class "
            f"{wanted}); none of it was. Where that code is, write torch.save(model.state_dict(), ...) instead."
        )
    if table.is_hostile:
        return UnsafePickleError(
            f"{path} is a pickle that asks to run {wanted}, which was refused. No checkpoint of weights does: do not "
            f"load it any other way, either. {origin} as .safetensors."
        )
    return UnsafePickleError(
        f"{path} is a pickle that asks for {wanted}, which is neither a tensor nor a plain value; nothing of it was "
        f"run. {origin} as .safetensors: safetensors.torch.save_file(state_dict, ...)."
    )
