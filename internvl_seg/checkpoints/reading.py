"""Tensors by name out of checkpoint files: names and shapes at once, data only when it is asked for.

Nothing here runs code from a file: ``.safetensors`` holds none, and pickles are followed as data (:mod:`.pickles`)
before PyTorch reads them with ``weights_only=True``.
"""

import abc
import json
import pickle
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .allowed import allowed_globals
from .containers import tell_others, tensors_of
from .errors import (
    NotACheckpointError,
    TruncatedCheckpointError,
    UnreadableWeightsError,
    UnsafePickleError,
    printable,
)
from .file_kinds import check_kind
from .pickle_names import View, describe_odd
from .stored import InMemory, Stored
from .told import OWN
from .torch_files import DAMAGE, TorchFile, damaged, look

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

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor, without reading its data."""
        return self.stored(name).dtype

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
        except (SafetensorError, OSError) as error:
            with path.open("rb") as file:
                start = file.read(9)
            if len(start) < 9 or start[8:] == b"{":  # Its header begins as JSON, so it is the rest that is missing.
                raise TruncatedCheckpointError(
                    f"{path} is cut short or damaged ({path.stat().st_size:,} bytes; {printable(str(error))}). "
                    "Download or copy it again."
                ) from error
            raise NotACheckpointError(f"{path} is not a safetensors file ({printable(str(error))}).") from error
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
            try:
                return InMemory(self._file.get_tensor(name))
            except (SafetensorError, RuntimeError, ValueError, TypeError, AttributeError) as error:
                raise UnreadableWeightsError(
                    f"{self._path} holds {printable(name)} as {entry['dtype']}, which PyTorch has no dtype for: it is "
                    "quantised. Take the model that it was made from."
                ) from error
        offset = self._start + entry["data_offsets"][0]
        return Stored(self._path, offset, tuple(entry["shape"]), _DTYPES[entry["dtype"]])


class PickleReader(TensorReader):
    """A file that ``torch.save`` wrote.

    Raises:
        CheckpointError: As :func:`read_pickle`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = look(path)
        content = self._file.content
        self._tensors: dict[str, Any] = tensors_of(content, path)
        tell_others(content, path)
        self.about = {
            key: content[key] for key in ("meta", "message_hub", OWN) if isinstance(content, dict) and key in content
        }
        self.names = frozenset(self._tensors)
        self._file.check_repeated(found for found in self._tensors.values() if isinstance(found, View))

    def _view(self, name: str) -> View:
        found = self._tensors[name]
        if not isinstance(found, View):
            raise UnreadableWeightsError(
                f"{self._path} holds {printable(name)} as {describe_odd(found)}, not as plain numbers. "
                + _advice(describe_odd(found))
            )
        self._file.begin(found)
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._view(name).shape

    def dtype(self, name: str) -> torch.dtype:
        """Dtype of a tensor."""
        return self._view(name).dtype

    def place(self, name: str) -> Stored | None:
        """Where a tensor is, if its bytes lie there one after the other, as they are in memory."""
        view = self._view(name)
        if self._file.swapped or view.negative or view.conjugate or not _is_contiguous(view):
            return None
        return Stored(self._path, self._file.begin(view), view.shape, view.dtype)

    def stored(self, name: str) -> Stored | InMemory:
        """Where a tensor is, or the tensor itself if what is there has to be put in order first."""
        return self.place(name) or InMemory(_gather(self._file, self._view(name)))


def _is_contiguous(view: View) -> bool:
    step = 1
    for size, stride in zip(reversed(view.shape), reversed(view.stride), strict=True):
        if size != 1 and stride != step:
            return 0 in view.shape
        step *= size
    return True


def _gather(file: TorchFile, view: View) -> Tensor:
    """A tensor whose bytes do not lie one after the other, or not as they are."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(view.shape, view.stride, strict=True))
    flat = Stored(file.path, file.begin(view), (0 if 0 in view.shape else span,), view.dtype).read()
    if file.swapped:
        size = view.dtype.itemsize // (2 if view.dtype.is_complex else 1)
        flat = flat.view(torch.uint8).view(-1, size).flip(1).reshape(-1).view(view.dtype)
    found = flat.as_strided(view.shape, view.stride).contiguous()
    if view.negative:
        found = -found
    return found.conj().resolve_conj() if view.conjugate else found


# What is allowed is PyTorch's, of the whole process.
_ALLOWING = threading.Lock()


def _advice(what: str) -> str:
    if "quant" in what or "torchao" in what or "bitsandbytes" in what:
        return "Take the model that it was made from, which is not quantised."
    if "distributed" in what or "_shard" in what:
        return (
            "Each process has a share of it. Where it was trained, save whole tensors: torch.distributed.checkpoint."
            "state_dict.get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))."
        )
    if what == "a NumPy array":
        return (
            "Make tensors of all arrays where they were saved: torch.save({name: torch.from_numpy(array) for name, "
            "array in arrays.items()}, 'weights.pth')."
        )
    return "Save it as an ordinary tensor: tensor.to_dense(), or tensor.dequantize(), or torch.Tensor.contiguous()."


def read_pickle(path: Path, map_location: Any = "cpu") -> Any:
    """Read a ``torch.save`` file without running any code in it; tensors are mapped, not copied, where it allows.

    Args:
        path: The file.
        map_location: As in ``torch.load``.

    Raises:
        UnsafePickleError: The file asks for something other than tensors and plain values.
        TruncatedCheckpointError: The file is cut short.
        UnreadableWeightsError: A tensor in it is sparse, quantised or a share, or something else is no plain value.
        NotACheckpointError: The file was not written by ``torch.save``.
    """
    if check_kind(path) != "torch":
        raise NotACheckpointError(f"{path} holds tensors alone (.safetensors), expected a file of torch.save.")
    file = look(path)
    if file.table.odd:
        raise UnreadableWeightsError(f"{path} holds {file.table.odd[0]}. " + _advice(file.table.odd[0]))
    if file.table.unread:
        raise UnreadableWeightsError(
            f"{path} holds {file.table.unread[0]} beside its tensors, which PyTorch does not read without running what "
            "the file asks for. Save it again without that, or with lists, texts and numbers in its place."
        )
    mapped = file.is_zip and not file.swapped
    try:
        with _ALLOWING, torch.serialization.safe_globals(allowed_globals(file.table.named)):
            return torch.load(path, map_location=map_location, weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        told = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
        if "Unsupported operand" in told:
            raise NotACheckpointError(
                f"{path} was saved with another pickle_protocol than torch.save has by itself, which PyTorch does not "
                "read without running it. Save it again without pickle_protocol=."
            ) from error
        raise UnsafePickleError(
            f"{path} is a pickle that PyTorch refuses ({printable(told)}). "
            "If you trust its origin, load it yourself and save its tensors as .safetensors."
        ) from error
    except DAMAGE as error:
        if not file.is_zip and "UntypedStorage" in str(error):
            raise UnreadableWeightsError(
                f"{path} holds tensors of a dtype, such as float8, that PyTorch does not read from files in the format "
                "that it wrote before 1.6. If they are weights, they are quantised: take the model they were made from."
            ) from error
        raise damaged(path, str(error)) from error


def open_file(path: Path) -> TensorReader:
    """Open one file of tensors, ``.safetensors`` or what ``torch.save`` wrote, told by its first bytes.

    Raises:
        CheckpointError: A subclass says what it is instead, or what is wrong with it.
    """
    return SafetensorsReader(path) if check_kind(path) == "safetensors" else PickleReader(path)
