"""Memory for large weights."""

import math
import mmap

import torch
from torch import Tensor

# Memory of this size and more comes in huge pages where the system has them.
_HUGE = 2 << 20


def allocate(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """An uninitialised tensor; a large one on the CPU lies in huge pages.

    Filling it is several times as fast then: the system hands out a page of 2 MiB instead of 512 small ones.
    """
    size = math.prod(shape) * dtype.itemsize
    if torch.device(device).type != "cpu" or size < _HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype, device=device)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
