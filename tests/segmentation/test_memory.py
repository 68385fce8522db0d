"""How much is computed at once."""

import psutil
import pytest
import torch

from internvl_seg.segmentation import memory
from internvl_seg.segmentation.memory import choose_tile_bytes, choose_window_batch, measure

CPU = torch.device("cpu")


def test_the_peak_of_live_tensors_is_measured() -> None:
    def compute() -> torch.Tensor:
        first = torch.zeros(1000)
        second = first + 1  # 8000 bytes live
        del first
        third = second.view(10, 100) * 2  # 8000 again; the view is no new memory
        del second
        return third.sum() + torch.zeros(10)

    result, peak = measure(compute)
    assert result.shape == (10,)
    assert 8000 <= peak < 8200


@pytest.mark.parametrize(
    ("free", "peak", "pixels", "windows"),
    [
        (8 << 30, 100 << 20, 64 * 64, 20),  # A quarter of the free memory.
        (8 << 30, 1 << 20, 64 * 64, 64),
        (8 << 30, 1 << 20, 504 * 504, 1),  # A CPU is busy with one.
        (1 << 20, 100 << 20, 64 * 64, 1),
    ],
)
def test_windows_at_once_fit_the_free_memory(
    free: int, peak: int, pixels: int, windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert choose_window_batch(peak, pixels, CPU) == windows


def test_free_memory_is_that_of_the_machine() -> None:
    assert 0 < memory.free_bytes(CPU) <= psutil.virtual_memory().total


def test_tiles_fit_the_cache_and_the_bound() -> None:
    fitting = choose_tile_bytes(CPU, None)
    assert 1 << 16 <= fitting <= 1 << 28
    assert choose_tile_bytes(CPU, fitting) == fitting // 4
    assert choose_tile_bytes(CPU, 1 << 40) == fitting
