"""Timing several things against each other in one run, and saying on what machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch


def interleaved(runs: Mapping[str, Callable[[], Any]], rounds: int, warmup: int = 1) -> dict[str, float]:
    """Median seconds of each run, measured in turns.

    A B C A B C ... instead of A A A B B B ...: a clock that throttles or a neighbour that wakes up then hits all of
    them alike, and the ratios stay right even where the seconds are not.

    Args:
        runs: What to time, by name.
        rounds: How often each is timed.
        warmup: Rounds before that, not timed; a compiled run compiles in the first.

    Returns:
        Median seconds by name, in the order of ``runs``.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for count in range(warmup + rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if count >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def machine() -> str:
    """One line: CPU, threads, matrix instructions, version of PyTorch, and how busy the machine is."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    able = torch.cpu.get_capabilities()
    instructions = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if able.get(name)]
    # What others kept running when this began; far from 0 the seconds below are theirs too.
    load = f"load {os.getloadavg()[0]:.1f}"
    threads = f"{torch.get_num_threads()} threads"
    return ", ".join([model, threads, " ".join(instructions) or "-", f"torch {torch.__version__}", load])


def peak_flops(dtype: torch.dtype, size: int = 4096, rounds: int = 5) -> float:
    """Floating-point operations per second of one large square product, the best of a few.

    Args:
        dtype: Of both factors.
        size: Rows and columns of both factors.
        rounds: How often to try.
    """
    a, b = torch.randn(2, size, size).to(dtype)
    out = torch.empty_like(a)
    torch.mm(a, b, out=out)
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, first column to the left and numbers to the right."""
    header = list(header)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
