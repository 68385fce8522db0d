"""A photograph segmented with the 6B encoder by ``tools/infer.py``: time and memory, also where there is little of it.

``python benchmarks/low_memory.py FOLDER PHOTOGRAPH`` uses the random encoder that ``benchmarks/large_checkpoint.py
FOLDER`` wrote and random heads: what is measured is that it runs, how fast and in how much memory, and how far the
labels are from those of the encoder in bf16, not what they mean. Limits are those of a control group of Linux, which
takes the right to make one (root).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from large_checkpoint import FILES, RELEASE
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image
from products import count_flops
from timing import machine, peak_flops, table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from internvl_seg import create_encoder

ROOT = Path(__file__).parents[1]
CONFIGS = {
    "linear": ROOT / "configs/ade20k/internvit_6b_448px_v2_5_linear_frozen_ade20k-504x504.py",
    "UperNet": ROOT / "configs/ade20k/internvit_6b_448px_v2_5_upernet_frozen_ade20k-504x504.py",
}
WINDOW, STRIDE, GRID, DIM = 504, 322, 36, 3200


@dataclass(frozen=True)
class Case:
    """A run."""

    head: str
    how: str
    options: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None  # GiB


CASES = (
    Case("linear", "bf16"),
    Case("linear", "int8_dynamic", {"quantization": "int8_dynamic"}),
    Case("linear", "int8", {"quantization": "int8"}),
    Case("linear", "int4", {"quantization": "int4"}, limit=6),
    Case("linear", "bf16, 2 blocks in memory", {"blocks_in_memory": 2}, limit=6),
    Case("linear", "bf16, 2 blocks in memory", {"blocks_in_memory": 2}, limit=4),
    Case("UperNet", "bf16"),
    Case("UperNet", "int8_dynamic", {"quantization": "int8_dynamic"}),
    Case("UperNet", "int4", {"quantization": "int4"}),
    Case("UperNet", "bf16, 2 blocks in memory", {"blocks_in_memory": 2}, limit=6),
)


def parts(config: Config) -> nn.ModuleDict:
    """What a segmentor has on its encoder."""
    names = [name for name in ("neck", "decode_head", "auxiliary_head") if config.model.get(name)]
    return nn.ModuleDict({name: MODELS.build(config.model[name]) for name in names})


def write_heads(config: Config, path: Path) -> None:
    """A checkpoint of random heads, without an encoder."""
    torch.manual_seed(0)
    torch.save({"state_dict": parts(config).state_dict()}, path)


def head_flops(config: Config) -> int:
    """Floating-point operations of the head on one window."""
    with torch.device("meta"), torch.no_grad():
        made = parts(config).eval()
        maps = tuple(torch.empty(1, DIM, GRID, GRID) for _ in config.model.backbone.out_indices)
        with FlopCounterMode(display=False) as counter:
            made["decode_head"](made["neck"](maps) if "neck" in made else maps)
    return int(counter.get_total_flops())


def count_windows(photograph: Path) -> int:
    """Windows that a photograph makes at the official test size: its short side at 504."""
    size = Image.open(photograph).size
    sides = [ceil(round(side * WINDOW / min(size)) / 14) * 14 for side in size]
    across, down = (max(ceil((side - WINDOW) / STRIDE), 0) + 1 for side in sides)
    return across * down


def limit_to(size: int, stack: ExitStack) -> Callable[[], None]:
    """What a new process calls so that it has this many bytes."""
    version_1 = Path("/sys/fs/cgroup/memory")
    group = (version_1 if version_1.is_dir() else version_1.parent) / f"internvl_seg_{os.getpid()}"
    group.mkdir()
    stack.callback(group.rmdir)
    (group / ("memory.limit_in_bytes" if version_1.is_dir() else "memory.max")).write_text(str(size))
    return lambda: (group / "cgroup.procs").write_text(str(os.getpid())) and None


def run(case: Case, folder: Path, heads: Path, photograph: Path, out: Path) -> tuple[float, float]:
    """Segment, and give the seconds without reading the model and the peak in GiB."""
    options = {"init_cfg.checkpoint": folder / FILES["released"][0], **case.options}
    command = [sys.executable, str(ROOT / "tools/infer.py"), str(CONFIGS[case.head]), str(heads), str(photograph)]
    command += ["--out", str(out), "--cfg-options", *(f"model.backbone.{k}={v}" for k, v in options.items())]
    with ExitStack() as stack:
        limit = limit_to(case.limit << 30, stack) if case.limit else None
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, preexec_fn=limit)
    found = re.search(r"Peak memory ([\d.]+) GiB, ([\d.]+) s", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"{case}: exit {done.returncode}\n{done.stdout}")
    return float(found[2]), float(found[1])


def main() -> None:
    """Run every case and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("photograph", type=Path)
    options = parser.parse_args()
    init_default_scope("mmseg")
    windows = count_windows(options.photograph)
    encoder_flops = count_flops(create_encoder(RELEASE, device="meta"), WINDOW)
    peaks = peak_flops(torch.bfloat16), peak_flops(torch.float32)
    print(f"{machine()}, {peaks[0] / 1e9:.0f} GFLOP/s in bf16 and {peaks[1] / 1e9:.0f} in fp32; {windows} windows")
    rows, labels = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        for head, path in CONFIGS.items():
            write_heads(Config.fromfile(path), Path(temporary, f"{head}.pth"))
        for number, case in enumerate(CASES):
            out = Path(temporary, str(number))
            seconds, peak = run(case, options.folder, Path(temporary, f"{case.head}.pth"), options.photograph, out)
            found = np.asarray(Image.open(next((out / "labels").iterdir())))
            equal = (found == labels.setdefault(case.head, found)).mean()
            flops = windows * encoder_flops, windows * head_flops(Config.fromfile(CONFIGS[case.head]))
            limit = sum(count / rate for count, rate in zip(flops, peaks, strict=True))
            row = [f"{case.head}, {case.how}", f"{case.limit} GiB" if case.limit else "-", f"{seconds:.1f}"]
            row += [f"{sum(flops) / seconds / 1e9:.0f}", f"{limit / seconds:.2f}", f"{peak:.2f}", f"{equal:.2%}"]
            print(row, file=sys.stderr, flush=True)
            rows.append(row)
    header = ["6B", "limit", "s", "GFLOP/s", "of bf16 limit", "peak, GiB", "labels as in bf16"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
