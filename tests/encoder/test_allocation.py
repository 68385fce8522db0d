"""Large weights lie in huge pages."""

import mmap
from pathlib import Path

import pytest
import torch

from internvl_seg.encoder.allocation import allocate


def test_large_memory_is_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    large = allocate((1 << 20, 3), torch.bfloat16)
    large.fill_(2)
    assert large.shape == (1 << 20, 3)
    assert large.dtype == torch.bfloat16
    if Path("/proc/self/smaps").is_file() and hasattr(mmap, "MADV_HUGEPAGE"):
        assert "hg" in _flags(large.data_ptr())
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)  # As on other systems.
    assert allocate((1 << 20, 3), torch.bfloat16).shape == (1 << 20, 3)


def _flags(address: int) -> list[str]:
    """What the system keeps of the mapping at an address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line[:8].strip("0123456789abcdef-") == "" and "-" in line.split(" ")[0]:
            start, stop = (int(side, 16) for side in line.split(" ")[0].split("-"))
            inside = start <= address < stop
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    return []
