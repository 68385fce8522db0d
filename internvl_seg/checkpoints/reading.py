"""Tensors by name out of checkpoint files: names and shapes at once, data only when it is asked for.

Nothing here runs code from a file: ``.safetensors`` holds none, and pickles are read with ``weights_only=True``.
"""

import collections
import functools
import json
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy._core.multiarray as np_multiarray
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import MissingShardError, NotACheckpointError, TruncatedCheckpointError, UnsafePickleError, list_names

# Keys under which trainers put the weights.
CONTAINERS = ("module", "state_dict", "model")


class TensorReader(Protocol):
    """Named tensors in one or more files.

    Attributes:
        names: Of all tensors.
    """

    names: frozenset[str]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading its data."""
        ...

    def read(self, name: str) -> Tensor:
        """A tensor's data, on the CPU in the file's dtype; it may share memory with the file."""
        ...


class SafetensorsReader:
    """A ``.safetensors`` file.

    Raises:
        TruncatedCheckpointError: The file is shorter than its header says.
        NotACheckpointError: The file is not in the safetensors format.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = safe_open(path, framework="pt")
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

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header."""
        return tuple(self._file.get_slice(name).get_shape())

    def read(self, name: str) -> Tensor:
        """A tensor's data."""
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


class TensorDictReader:
    """Tensors that are in memory or mapped from a file already."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors
        self.names = frozenset(tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._tensors[name].shape)

    def read(self, name: str) -> Tensor:
        """A tensor's data."""
        return self._tensors[name]


class ShardedReader:
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

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; opens its file."""
        return self._reader(name).shape(name)

    def read(self, name: str) -> Tensor:
        """A tensor's data."""
        return self._reader(name).read(name)


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
    with path.open("rb") as file:
        start = file.read(4)
    is_zip = start == b"PK\x03\x04"
    if start and not is_zip and start[:1] != pickle.PROTO:
        raise NotACheckpointError(
            f"{path} is no checkpoint: it was not written by torch.save and is not a .safetensors file."
        )
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location=map_location, weights_only=True, mmap=is_zip)
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
    return TensorDictReader(tensors_of(read_pickle(path), path))
