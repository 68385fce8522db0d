"""How much memory there is, and how much a computation takes."""

import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from .live_bytes import LiveBytes

# A CPU is busy with a window of 512 x 512; more at once are no faster there.
_PIXELS_ON_CPU = 512 * 512
_MOST_WINDOWS = 64
# With so many it computes a block for longer than any disk reads one; more would only put off the first result.
_SWEEP_ON_CPU = 8


def measure(compute: Callable[[], Any], known: Iterable[Tensor] = ()) -> tuple[Any, int]:
    """What a computation gives, and the highest number of bytes that its tensors took at a time.

    Args:
        compute: The computation.
        known: Tensors that are there before, such as weights.
    """
    with LiveBytes(known) as live:
        result = compute()
    return result, live.peak()


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device; of the CPU's, as much as this process's control group leaves."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(
        int(psutil.virtual_memory().available), *_left_by_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    )


def _left_by_groups(groups: Path, mounted: Path) -> list[int]:
    """What the limits of containers and batch systems leave; nothing that can be given back counts as used.

    Args:
        groups: The system's list of this process's control groups.
        mounted: Where control groups are.
    """
    left = [sys.maxsize]
    for line in groups.read_text().splitlines() if groups.is_file() else ():
        _, controllers, path = line.split(":", 2)
        version_1 = "memory" in controllers.split(",")
        if not version_1 and controllers:
            continue
        root = mounted / "memory" if version_1 else mounted
        limit, used = ("memory.limit_in_bytes", "total_rss") if version_1 else ("memory.max", "anon")
        # A container sees its own group as the root. A limit of a group above holds, too.
        for folder in (root / path.lstrip("/"), *(root / path.lstrip("/")).parents):
            if folder.is_relative_to(root) and (folder / limit).is_file() and (folder / "memory.stat").is_file():
                allowed = (folder / limit).read_text().strip()
                stat = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
                if allowed.isdecimal():
                    left.append(max(int(allowed) - int(stat.get(used, 0)), 0))
    return left


def choose_window_batch(peak: int, pixels: int, device: torch.device) -> int:
    """How many windows go through the encoder at once.

    Args:
        peak: Bytes that one window takes.
        pixels: Of a window.
        device: Where it is computed.

    Returns:
        As many as a quarter of the free memory holds, at most 64; on a CPU no more than make it busy.
    """
    fitting = free_bytes(device) // (4 * max(peak, 1))
    most = max(_PIXELS_ON_CPU // pixels, 1) if device.type == "cpu" else _MOST_WINDOWS
    return max(min(fitting, most, _MOST_WINDOWS), 1)


def choose_sweep(kept: int, device: torch.device) -> int:
    """How many windows share one reading of weights that are not in memory all the time.

    Args:
        kept: Bytes that are kept of a window meanwhile.
        device: Where it is computed.

    Returns:
        As many as a quarter of the free memory holds, at least one and at most 64; on a CPU at most 8.
    """
    most = _SWEEP_ON_CPU if device.type == "cpu" else _MOST_WINDOWS
    return max(min(free_bytes(device) // (4 * kept), most), 1)


@cache
def _cache_bytes() -> int:
    """Second-level cache of one core, or 1 MiB where the system does not tell."""
    try:
        size = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(size.removesuffix("K")) << 10
    except (OSError, ValueError):
        return 1 << 20


def choose_tile_bytes(device: torch.device, max_memory: int | None) -> int:
    """Bytes that the logits of a tile may take: what stays in the cache, and not more than ``max_memory`` allows."""
    cores = min(torch.get_num_threads(), os.cpu_count() or 1)
    fitting = _cache_bytes() * cores if device.type == "cpu" else 256 << 20
    # Beside the logits there are those of half the way and, with probabilities, two more of their size.
    return fitting if max_memory is None else min(fitting, max_memory // 4)
