"""Tensors as they lie in a file, and reading them right into the memory where they are to stay.

A mapped file would be counted twice while its tensors are copied, and loses a run when somebody overwrites it; reads
into a tensor's own memory need that memory and nothing else.
"""

import io
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..encoder.allocation import allocate
from .errors import TruncatedCheckpointError

# What is read at once; of the next as much the disk is told in advance, which triples what one thread gets from it.
_CHUNK = 64 << 20


@dataclass(frozen=True)
class Stored:
    """A contiguous tensor in a file.

    Attributes:
        path: The file.
        offset: Of its first byte.
        shape: Its shape.
        dtype: Its dtype.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, start: int, stop: int) -> "Stored":
        """The part from one index of the first dimension to another (not included)."""
        row = self.nbytes // max(self.shape[0], 1)
        return replace(self, offset=self.offset + start * row, shape=(stop - start, *self.shape[1:]))

    def read(self) -> Tensor:
        """The tensor, in its own dtype on the CPU."""
        out = allocate(self.shape, self.dtype)
        self.read_into(out)
        return out

    def read_into(self, out: Tensor) -> None:
        """Read it into a tensor of its shape, of any dtype on any device.

        Args:
            out: The tensor; if it is contiguous, of this dtype and on the CPU, nothing else takes memory.

        Raises:
            TruncatedCheckpointError: The file has become shorter.
        """
        with torch.no_grad(), self.path.open("rb", buffering=0) as file:
            if out.device.type == "cpu" and out.dtype == self.dtype and out.is_contiguous():
                self._read_bytes(file, _as_bytes(out), 0)
                return
            flat = out if out.is_contiguous() else torch.empty_like(out, memory_format=torch.contiguous_format)
            staging = torch.empty(min(_CHUNK, self.nbytes) // self.dtype.itemsize, dtype=self.dtype)
            parts = flat.detach().view(-1).split(max(len(staging), 1))
            done = 0
            for part in parts:
                piece = staging[: len(part)]
                self._read_bytes(file, _as_bytes(piece), done)
                part.copy_(piece)
                done += piece.nbytes
            if flat is not out:
                out.copy_(flat)

    def _read_bytes(self, file: io.FileIO, target: memoryview, start: int) -> None:
        done = 0
        while done < len(target):
            position = self.offset + start + done
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), position, 2 * _CHUNK, os.POSIX_FADV_WILLNEED)
            file.seek(position)
            count = file.readinto(target[done : done + _CHUNK])
            if not count:
                raise TruncatedCheckpointError(
                    f"{self.path} ends within a tensor, at byte {position:,}: it has become shorter since it was "
                    "opened. Do not change a checkpoint while it is in use."
                )
            done += count


@dataclass(frozen=True)
class InMemory:
    """A tensor that is in memory already, with the interface of :class:`Stored`.

    Attributes:
        tensor: The tensor.
    """

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Its dtype."""
        return self.tensor.dtype

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.tensor.nbytes

    def rows(self, start: int, stop: int) -> "InMemory":
        """The part from one index of the first dimension to another (not included)."""
        return InMemory(self.tensor[start:stop])

    def read(self) -> Tensor:
        """The tensor itself."""
        return self.tensor

    def read_into(self, out: Tensor) -> None:
        """Copy it into a tensor of its shape."""
        with torch.no_grad():
            out.copy_(self.tensor)


def _as_bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU."""
    return tensor.detach().view(-1).view(torch.uint8).numpy().data
