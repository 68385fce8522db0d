"""What each process of a sharded training keeps, against its share of the whole and against the plan.

``python benchmarks/sharding.py`` trains two steps of UperNet on a small encoder, of full tuning and with adapters, on
one process and on several of this machine (gloo, CPU), and prints Markdown tables.
"""

import argparse
import ctypes
import gc
import multiprocessing
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from inference import megabytes, status
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from timing import machine, table
from torch import Tensor
from torch.distributed.tensor import DTensor

from internvl_seg.planning import plan_memory
from internvl_seg.planning.fake_model import batch
from internvl_seg.training.config import load_config
from internvl_seg.training.runner import leave_group
from internvl_seg.training.sharding import shard
from internvl_seg.training.sync_bn import synchronise_batch_norm

CONFIG = """
custom_imports = dict(imports=['internvl_seg'])
default_scope = 'mmseg'
model = dict(
    type='StreamingEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(224, 224)),
    backbone=dict(
        type='InternViT', arch=dict(embed_dim=1024, depth=8, num_heads=16), img_size=224, out_indices=(1, 3, 5, 7),
        with_cp=True),
    neck=dict(type='FeaturePyramid', embed_dim=1024),
    decode_head=dict(
        type='UPerHead', in_channels=[1024] * 4, in_index=[0, 1, 2, 3], channels=64, num_classes=19,
        norm_cfg=dict(type='BN')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
model_wrapper_cfg = dict(type='FullyShard')
"""
RUNS: dict[str, dict[str, Any]] = {
    "full tuning": {},
    "adapters": {"model.backbone.frozen": True, "model.backbone.lora": {"rank": 16}},
}


def kept(tensors: Any) -> int:
    """Bytes of tensors, or of this process's shards of them."""
    local = (t.to_local() if isinstance(t, DTensor) else t for t in tensors if isinstance(t, Tensor))
    return sum(tensor.nbytes for tensor in local)


def work(rank: int, processes: int, port: int, path: str, options: dict[str, Any], found: Any) -> None:
    """Train two steps as one of several processes and put what was kept into ``found``."""
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(processes), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(1)
    config = load_config(path, options)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model).train()
    if processes > 1:
        dist.init_process_group("gloo")
        shard(synchronise_batch_norm(model, "cpu"), processes)
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    gradients = {}
    data, clear = batch(config), optim_wrapper.zero_grad

    def look(**kwargs: Any) -> None:
        gradients["bytes"] = kept(weight.grad for weight in model.parameters() if weight.grad is not None)
        clear(**kwargs)

    optim_wrapper.zero_grad = look
    model.train_step(data, optim_wrapper)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here.
    model.train_step(data, optim_wrapper)
    state = (t for s in optim_wrapper.optimizer.state.values() for t in s.values())
    found[rank] = {
        "parameters": kept(model.parameters()),
        "gradients": gradients["bytes"],
        "optimizer": kept(state),
        "grown": status("VmHWM") - before,
    }
    if processes > 1:
        leave_group()


def run(processes: int, path: str, options: dict[str, Any]) -> list[dict[str, int]]:
    """What each of several processes kept."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with mp.Manager() as manager:
        found = manager.dict()
        mp.start_processes(work, (processes, port, path, options, found), nprocs=processes, start_method="forkserver")
        return [found[rank] for rank in range(processes)]


def rows(name: str, path: str, processes: int) -> list[list[str]]:
    """A run on one process, the same on several, and what was planned for those."""
    options = RUNS[name]
    (whole,) = run(1, path, options)
    plan = plan_memory(path, device="cpu", devices=processes, device_memory=24, options=options)
    (planned,) = [setting for setting in plan.settings if setting.configured]
    fields = ("parameters", "gradients", "optimizer")
    total = sum(whole[field] for field in fields)
    out = [
        [f"{name}, 1 process", *(megabytes(whole[f]) for f in fields), megabytes(total), "1", megabytes(whole["grown"])]
    ]
    for rank, part in enumerate(run(processes, path, options)):
        one = sum(part[field] for field in fields)
        cells = [*(megabytes(part[f]) for f in fields), megabytes(one), f"{one / total:.3f}", megabytes(part["grown"])]
        out.append([f"{name}, process {rank + 1} of {processes}", *cells])
    one = planned.parameters + planned.gradients + planned.optimizer
    cells = [megabytes(getattr(planned, field)) for field in fields]
    working = planned.peak - planned.parameters - planned.optimizer
    out.append([f"{name}, planned", *cells, megabytes(one), f"{one / total:.3f}", megabytes(working)])
    return out


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2, help="how many share a model")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    options = parser.parse_args()
    # What is freed goes back to the system at once, so that the peak is that of what is held.
    multiprocessing.set_forkserver_preload(["internvl_seg", "mmseg.models"])
    os.environ.update(MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.py")
        path.write_text(CONFIG)
        found = [row for name in RUNS for row in rows(name, str(path), options.processes)]
    header = ["MB of", "parameters", "gradients", "optimizer", "together", "of the whole", "a step's peak beside"]
    text = f"{machine()}\n\n{table(header, found)}"
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
