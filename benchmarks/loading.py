"""Loading the 6B encoder: time and memory against the disk, ``torch.load`` with ``load_state_dict``, and transformers.

``python benchmarks/loading.py FOLDER`` reads what ``benchmarks/large_checkpoint.py FOLDER`` wrote. Each way runs in a
process of its own, with none of the file in the system's cache at first, and again with what then is in it. Its peak is
that of the process above what it held before (libraries). "Used" adds the time to touch every weight once, as some
ways put that off.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from large_checkpoint import FILES, RELEASE
from process import forget_peak, status
from timing import machine, table

from internvl_seg import create_encoder, load_encoder

CHUNK = 64 << 20


def files_of(path: Path) -> list[Path]:
    """The files of weights of a checkpoint."""
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def _disk(path: Path) -> None:
    """Reads the files into one small buffer and does nothing with them."""
    buffer = bytearray(CHUNK)
    for file in files_of(path):
        with file.open("rb", buffering=0) as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            position = 0
            while count := stream.readinto(buffer):
                position += count
                os.posix_fadvise(stream.fileno(), position, 2 * CHUNK, os.POSIX_FADV_WILLNEED)


def _read(path: Path) -> Any:
    """Reads the weights into memory of their own."""
    return load_encoder(path, mmap=False)


def _torch_load(path: Path) -> Any:
    """As the official code: the whole file beside a model; which is spared its random weights and fp32 here."""
    encoder = create_encoder(RELEASE, dtype=torch.bfloat16, device="meta").to_empty(device="cpu")
    encoder.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["module"])
    return encoder


def _transformers(path: Path) -> Any:
    from transformers import InternVLVisionModel

    return InternVLVisionModel.from_pretrained(path, dtype=torch.bfloat16)


WAYS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "reading the shards, doing nothing": ("released", _disk),
    "ours, released shards": ("released", load_encoder),
    "ours, transformers' shards": ("hf", load_encoder),
    "ours, .pth": ("official", load_encoder),
    "ours, .pth, mmap=False": ("official", _read),
    "transformers from_pretrained, its shards": ("hf", _transformers),
    "torch.load and load_state_dict, .pth": ("official", _torch_load),
}


def run_one(name: str, folder: Path) -> None:
    """Load in this process and print what it took as JSON."""
    kind, load = WAYS[name]
    forget_peak()
    before = status("VmHWM")
    start = time.perf_counter()
    model = load(folder / FILES[kind][0])
    loaded = time.perf_counter()
    if model is not None:
        for parameter in model.parameters():
            parameter.data.view(-1).view(torch.int16)[::1024].sum()
    used = time.perf_counter()
    weights = sum(p.nbytes for p in model.parameters()) if model is not None else 0
    peak = status("VmHWM") - before
    print(json.dumps({"load": loaded - start, "used": used - start, "peak": peak, "weights": weights}))


def forget(path: Path) -> None:
    """Take a checkpoint's files out of the system's cache."""
    for file in files_of(path):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(name: str, folder: Path) -> dict[str, float] | None:
    """What a way took in a process of its own; None if the system ended it."""
    command = [sys.executable, __file__, str(folder), "--way", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == -9:
        return None
    done.check_returncode()
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure every way and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--way", choices=WAYS, help="run this one alone, here")
    options = parser.parse_args()
    if options.way:
        run_one(options.way, options.folder)
        return
    print(machine(), flush=True)
    rows = []
    for name, (kind, _) in WAYS.items():
        path = options.folder / FILES[kind][0]
        size = sum(file.stat().st_size for file in files_of(path))
        for other in FILES.values():
            forget(options.folder / other[0])
        for cache in ("cold", "warm"):
            found = measure(name, options.folder)
            if found is None:
                rows.append([name, cache, "out of memory", "", "", "", ""])
                continue
            peak = f"{found['peak'] / found['weights']:.3f}" if found["weights"] else ""
            speed = f"{size / found['used'] / 1e9:.2f}"
            times = [f"{found['load']:.1f}", f"{found['used']:.1f}", speed]
            rows.append([name, cache, *times, f"{found['peak'] / 2**30:.2f}", peak])
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(["6B, bf16", "cache", "load, s", "used, s", "GB/s", "peak, GiB", "peak / weights"], rows))


if __name__ == "__main__":
    main()
