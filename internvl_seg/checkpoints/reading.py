"""Tensors by name out of checkpoint files: names and shapes at once, data only when it is asked for.

Nothing here runs code from a file: ``.safetensors`` holds none, and pickles are read with ``weights_only=True``.
"""

import abc
import collections
import contextlib
import functools
import json
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy._core.multiarray as np_multiarray
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch._subclasses import FakeTensor, FakeTensorMode

from .errors import MissingShardError, NotACheckpointError, TruncatedCheckpointError, UnsafePickleError, list_names
from .stored import InMemory, Stored
from .told import OWN

# Keys under which trainers put the weights.
CONTAINERS = ("module", "state_dict", "model")


# Names of dtypes in the header of a ``.safetensors`` file.
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


class TensorReader(abc.ABC):
    """Named tensors in one or more files.

    Attributes:
        names: Of all tensors.
        about: What is kept beside them and says something of them: a ``.safetensors`` file's metadata, or ``meta`` and
            what this package adds of a ``torch.save`` file.
    """

    names: frozenset[str]
    about: Mapping[str, Any] = MappingProxyType({})

    @abc.abstractmethod
    def stored(self, name: str) -> Stored | InMemory:
        """Where a tensor is, and of what shape and dtype; its data is read from there when it is needed."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading its data."""
        return self.stored(name).shape

    def read(self, name: str) -> Tensor:
        """A tensor's data, on the CPU in the file's dtype."""
        return self.stored(name).read()


class SafetensorsReader(TensorReader):
    """A ``.safetensors`` file.

    Raises:
        TruncatedCheckpointError: The file is shorter than its header says.
        NotACheckpointError: The file is not in the safetensors format.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = safe_open(path, framework="pt")  # Checks that header and data belong together.
        except SafetensorError as error:
            with path.open("rb") as file:
                start = file.read(9)
            if len(start) < 9 or start[8:] == b"{":  # Its header begins as JSON, so it is the rest that is missing.
                raise TruncatedCheckpointError(
                    f"{path} is cut short or damaged ({path.stat().st_size:,} bytes; {error}). "
                    "Download or copy it again."
                ) from error
            raise NotACheckpointError(f"{path} is not a safetensors file ({error}).") from error
        self.names = frozenset(self._file.keys())
        self.about = self._file.metadata() or {}
        self._path = path
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self._header: dict[str, Any] = json.loads(file.read(size))
        self._start = 8 + size

    def stored(self, name: str) -> Stored | InMemory:
        """Where a tensor is, from the header."""
        entry = self._header[name]
        if entry["dtype"] not in _DTYPES:  # A rare one is left to the library.
            return InMemory(self._file.get_tensor(name))
        offset = self._start + entry["data_offsets"][0]
        return Stored(self._path, offset, tuple(entry["shape"]), _DTYPES[entry["dtype"]])


class PickleReader(TensorReader):
    """A file that ``torch.save`` wrote. One from before the zip format (PyTorch 1.6) is read into memory as a whole.

    Raises:
        CheckpointError: As :func:`read_pickle`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        checkpoint = _unpickle(path, "cpu", only_places=True)
        self._tensors = tensors_of(checkpoint, path)
        self.about = {key: checkpoint[key] for key in ("meta", OWN) if key in checkpoint}
        self.names = frozenset(self._tensors)

    def stored(self, name: str) -> Stored | InMemory:
        """Where a tensor is."""
        tensor = self._tensors[name]
        if not isinstance(tensor, FakeTensor):
            return InMemory(tensor)
        start = tensor.untyped_storage()._checkpoint_offset
        if start is None or not tensor.is_contiguous():
            return InMemory(tensors_of(read_pickle(self._path), self._path)[name])
        offset = start + int(tensor.storage_offset()) * tensor.dtype.itemsize
        return Stored(self._path, offset, tuple(tensor.shape), tensor.dtype)


class ShardedReader(TensorReader):
    """The files that an index (``*.index.json``) lists; a file is fetched and opened only when a tensor of it is.

    Args:
        index: The index file.
        fetch: From a shard's name to its path; raises :class:`MissingShardError` if there is none.

    Raises:
        NotACheckpointError: The index is not JSON with a ``weight_map``.
    """

    def __init__(self, index: Path, fetch: Callable[[str], Path]) -> None:
        self._index = index
        try:
            self._shard_of: dict[str, str] = json.loads(index.read_text())["weight_map"]
        except (ValueError, KeyError, TypeError) as error:
            raise NotACheckpointError(f"{index} is not an index of shards: it has no JSON key 'weight_map'.") from error
        self.names = frozenset(self._shard_of)
        self._open = functools.cache(lambda shard: open_file(fetch(shard)))

    def _reader(self, name: str) -> TensorReader:
        shard = self._shard_of[name]
        reader: TensorReader = self._open(shard)
        if name not in reader.names:
            raise MissingShardError(
                f"{self._index} says that {name} is in {shard}, but it is not. Download both again."
            )
        return reader

    def stored(self, name: str) -> Stored | InMemory:
        """Where a tensor is; opens its file."""
        return self._reader(name).stored(name)


def _statistic(owner: type, name: str) -> Any:
    """Stands in for ``getattr`` in MMEngine's checkpoints, whose logged scalars look up how they are averaged."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError(f"Unsupported global: GLOBAL getattr of {owner} was not allowed")
    return getattr(owner, name)


# What MMEngine's checkpoints hold besides tensors and plain Python values: the logged scalars.
SAFE_GLOBALS: list[Any] = [
    (_statistic, "builtins.getattr"),
    HistoryBuffer,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64)),
    np_multiarray._reconstruct,
    np_multiarray.scalar,
]


def read_pickle(path: Path, map_location: Any = "cpu") -> Any:
    """Read a ``torch.save`` file without running any code in it; tensors are mapped, not copied, where it allows.

    Args:
        path: The file.
        map_location: As in ``torch.load``.

    Raises:
        UnsafePickleError: The file asks for something other than tensors and plain values.
        TruncatedCheckpointError: The file is cut short.
        NotACheckpointError: The file was not written by ``torch.save``.
    """
    return _unpickle(path, map_location)


def _unpickle(path: Path, map_location: Any, only_places: bool = False) -> Any:
    """Read a file as above, or only where its tensors are, which stands in their storages' ``_checkpoint_offset``."""
    with path.open("rb") as file:
        start = file.read(4)
    is_zip = start == b"PK\x03\x04"
    if start and not is_zip and start[:1] != pickle.PROTO:
        raise NotACheckpointError(
            f"{path} is no checkpoint: it was not written by torch.save and is not a .safetensors file."
        )
    only_places &= is_zip
    faking = FakeTensorMode() if only_places else contextlib.nullcontext()
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS), faking:
            return torch.load(path, map_location=map_location, weights_only=True, mmap=is_zip and not only_places)
    except pickle.UnpicklingError as error:
        if is_zip or _is_whole(path):
            wanted = re.search(r"(?:GLOBAL|class) (\S+)", str(error))
            raise UnsafePickleError(
                f"{path} is a pickle that asks to run {wanted[1] if wanted else 'code'}, which was refused. "
                "If you trust its origin, load it yourself and save its tensors as .safetensors."
            ) from error
        raise _truncated(path) from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError) as error:
        raise _truncated(path) from error


def _is_whole(path: Path) -> bool:
    """Whether the pickles at the start of a ``torch.save`` file from before the zip format have an end."""
    with path.open("rb") as file:
        try:
            for _ in range(5):  # Magic number, version, system, object, storage names; raw data follows.
                collections.deque(pickletools.genops(file), maxlen=0)
        except ValueError:
            return False
    return True


def _truncated(path: Path) -> TruncatedCheckpointError:
    return TruncatedCheckpointError(
        f"{path} is cut short or damaged ({path.stat().st_size:,} bytes). Download or copy it again."
    )


def tensors_of(checkpoint: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of an unpickled checkpoint, out of the containers that trainers put around them.

    Raises:
        NotACheckpointError: There is no tensor in it.
    """
    for container in CONTAINERS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(container), dict):
            checkpoint = checkpoint[container]
    tensors = {k: v for k, v in checkpoint.items() if isinstance(v, Tensor)} if isinstance(checkpoint, dict) else {}
    if not tensors:
        found = f"keys {list_names([str(k) for k in checkpoint])}" if isinstance(checkpoint, dict) else type(checkpoint)
        raise NotACheckpointError(
            f"{path} holds no tensors by name at its top level or under 'module', 'state_dict' or 'model'; "
            f"found {found}."
        )
    return tensors


def open_file(path: Path) -> TensorReader:
    """Open one file of tensors, told by its suffix: ``.safetensors``, or anything that ``torch.save`` wrote."""
    if path.suffix == ".safetensors":
        return SafetensorsReader(path)
    return PickleReader(path)
