"""Tensors as they lie in a file: mapped as they are, or read right into the memory where they are to stay.

Copying a tensor out of a mapped file takes its memory twice. So what may stay as it is stays mapped, and takes the
memory that the system caches files in; of all else the bytes are read into their place.
"""

import io
import math
import mmap
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

    def map(self) -> Tensor:
        """The tensor in the file's own memory; writing to it does not change the file.

        It is there when this returns. Processes that map it share that memory. Whoever overwrites the file in place
        overwrites the tensor, or kills the process; a new file under the old name does neither.
        """
        start = self.offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        ahead = self.offset - start
        if self.nbytes == 0 or ahead % self.dtype.itemsize:
            return self.read()
        try:
            with self.path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), ahead + self.nbytes, access=mmap.ACCESS_COPY, offset=start)
        except ValueError as error:  # Of a size that the file no longer has.
            raise self._has_changed() from error
        if hasattr(memory, "madvise"):
            memory.madvise(mmap.MADV_WILLNEED)
        _ = memory[:: mmap.PAGESIZE]  # Brings in every page now, while it can be said how far that is.
        return torch.frombuffer(memory, dtype=self.dtype, count=math.prod(self.shape), offset=ahead).view(self.shape)

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
                raise self._has_changed()
            done += count

    def _has_changed(self) -> TruncatedCheckpointError:
        return TruncatedCheckpointError(
            f"{self.path} ends within a tensor ({self.path.stat().st_size:,} bytes): it has become shorter since it "
            "was opened. Do not change a checkpoint while it is in use."
        )


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

    def map(self) -> Tensor:
        """The tensor itself."""
        return self.tensor

    def read_into(self, out: Tensor) -> None:
        """Copy it into a tensor of its shape."""
        with torch.no_grad():
            out.copy_(self.tensor)


def _as_bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU."""
    return tensor.detach().view(-1).view(torch.uint8).numpy().data
