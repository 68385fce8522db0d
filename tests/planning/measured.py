"""Train steps of a config's model for real and print what the process took; a process of its own.

``python tests/planning/measured.py CONFIG '{"case": {"key": "value"}}'`` prints, for each case of options, the bytes
of weights and of the optimizer's state, and how far the process grew in its second step.
"""

import ctypes
import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import internvl_seg  # noqa: F401  (registers what configs name)
from internvl_seg.planning.fake_model import batch
from internvl_seg.training.config import load_config


def status(field: str) -> int:
    """Bytes that Linux tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def measure(path: str, options: dict[str, Any]) -> dict[str, int]:
    """Train two steps; the first makes the optimizer's state and loads what is loaded once."""
    config = load_config(path, options)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model).train()
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    data, passes = batch(config), config.optim_wrapper.get("accumulative_counts", 1)
    for _ in range(passes):
        model.train_step(data, optim_wrapper)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here.
    for _ in range(passes):
        model.train_step(data, optim_wrapper)
    grown = status("VmHWM") - before
    state = [t for s in optim_wrapper.optimizer.state.values() for t in s.values()]
    tensors = [*model.parameters(), *model.buffers()]
    return {"weights": sum(t.nbytes for t in tensors), "state": sum(t.nbytes for t in state), "grown": grown}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({case: measure(sys.argv[1], options) for case, options in json.loads(sys.argv[2]).items()}))
