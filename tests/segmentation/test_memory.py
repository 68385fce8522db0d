"""How much is computed at once."""

import sys
from pathlib import Path

import psutil
import pytest
import torch

from internvl_seg.segmentation import memory
from internvl_seg.segmentation.memory import (
    _left_by_groups,
    choose_sweep,
    choose_tile_bytes,
    choose_window_batch,
    free_bytes,
    measure,
)

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


def test_weights_are_nothing_new() -> None:
    weight, x = torch.zeros(100, 1000), torch.zeros(3, 1000)
    assert measure(lambda: torch.nn.functional.linear(x, weight), [weight, x])[1] < 2000


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


@pytest.mark.parametrize(
    ("device", "free", "kept", "windows"),
    [
        ("cuda", 8 << 30, 100 << 20, 20),  # A quarter of the free memory.
        ("cuda", 8 << 30, 1 << 20, 64),
        ("cpu", 8 << 30, 1 << 20, 8),  # The first result does not wait for more.
        ("cpu", 8 << 30, 500 << 20, 4),
        ("cpu", 1 << 20, 1 << 30, 1),
    ],
)
def test_windows_that_share_a_sweep_fit_the_free_memory(
    device: str, free: int, kept: int, windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert choose_sweep(kept, torch.device(device)) == windows


GROUPS = {
    1: ("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n", "memory", "memory.limit_in_bytes", "total_rss"),
    2: ("0::/a/b\n", ".", "memory.max", "anon"),
}


@pytest.mark.parametrize("version", GROUPS)
@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"a/b": (1000, 300), "a": (5000, 400)}, 700),
        ({"a/b": (9000, 300), "a": (500, 400)}, 100),  # Of a group above.
        ({"": (800, 900)}, 0),  # A container sees its own group as the root.
        ({"a/b": ("max", 300)}, None),
        ({}, None),
    ],
)
def test_limits_of_control_groups_are_heard(
    version: int, limits: dict[str, tuple[int | str, int]], left: int | None, tmp_path: Path
) -> None:
    groups, root, limit, used = GROUPS[version]
    (tmp_path / "cgroup").write_text(groups)
    for path, (most, usage) in limits.items():
        folder = tmp_path / "mounted" / root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / limit).write_text(f"{most}\n")
        (folder / "memory.stat").write_text(f"cache 123456\n{used} {usage}\nfile 99\n")
    found = _left_by_groups(tmp_path / "cgroup", tmp_path / "mounted")
    assert min(found) == (sys.maxsize if left is None else left)


def test_free_memory_is_never_more_than_a_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_left_by_groups", lambda *paths: [12345])
    assert free_bytes(CPU) == 12345
