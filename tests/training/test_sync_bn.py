"""Two processes with half a batch each normalise, and learn, as one process with the whole batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from torch import Tensor, nn

from internvl_seg.segmentation import LinearHead
from internvl_seg.training.runner import ResumableRunner, leave_group
from internvl_seg.training.sync_bn import CPUSyncBatchNorm, synchronise_batch_norm


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 6, 3, 5, generator=generator) * 2 + 1, torch.randn(4, 6, 3, 5, generator=generator)


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1))


def step(net: nn.Module, images: Tensor, targets: Tensor) -> None:
    (net(images) - targets).square().mean().backward()


def worker(rank: int, rendezvous: str, sizes: tuple[int, int], out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    net = synchronise_batch_norm(model(), "cpu")
    images, targets = (t.split(sizes)[rank] for t in batch())
    # Weighted so that the mean over processes is the mean over the batch.
    ((net(images) - targets).square().mean() * (2 * sizes[rank] / sum(sizes))).backward()
    for parameter in net.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= 2
    if rank == 0:
        gradients = {name: p.grad for name, p in net.named_parameters()}
        torch.save({"gradients": gradients, "state": net.state_dict()}, out)
    dist.destroy_process_group()


@pytest.mark.parametrize("sizes", [(2, 2), (1, 3)])
def test_two_processes_equal_one(sizes: tuple[int, int], tmp_path: Path) -> None:
    mp.spawn(worker, (str(tmp_path / "rendezvous"), sizes, str(tmp_path / "out.pth")), nprocs=2)
    got = torch.load(tmp_path / "out.pth")
    net = model()
    step(net, *batch())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(got["gradients"][name], parameter.grad, rtol=1e-5, atol=1e-6)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(got["state"][name], value, rtol=1e-5, atol=1e-6)


def test_parameters_are_kept_and_evaluation_is_plain() -> None:
    net = model()
    weight = net[1].weight
    converted = synchronise_batch_norm(net, "cpu").eval()
    assert type(converted[1]) is CPUSyncBatchNorm
    assert converted[1].weight is weight
    plain = model().eval()
    torch.testing.assert_close(converted(batch()[0]), plain(batch()[0]))


def runner_worker(rank: int, rendezvous: str, out: str) -> None:
    import os

    os.environ.update(
        LOCAL_RANK=str(rank), RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=rendezvous
    )
    runner = build_runner(out, launcher="pytorch")
    kinds = {type(module) for module in runner.model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    assert kinds == {CPUSyncBatchNorm}, kinds
    # Threads that outlive the interpreter abort the process.
    assert gloo_threads()
    del runner
    leave_group()
    assert gloo_threads() == []


def gloo_threads() -> list[str]:
    names = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return [name for name in names if "gloo" in name]


def build_runner(work_dir: str, **options: Any) -> ResumableRunner:
    config = Config(
        {
            "model": {
                "type": "EncoderDecoder",
                "backbone": {
                    "type": "InternViT",
                    "arch": {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 42},
                },
                "decode_head": {"type": "LinearHead", "in_channels": 32, "num_classes": 4},
            },
            "default_scope": "mmseg",
            "work_dir": work_dir,
            "env_cfg": {"dist_cfg": {"backend": "gloo"}, "mp_cfg": {"mp_start_method": "fork"}},
            "experiment_name": f"sync-bn-{options.get('launcher', 'none')}",
            **options,
        }
    )
    return ResumableRunner.from_cfg(config)


def test_the_runner_synchronises_when_distributed_and_only_then(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    mp.spawn(runner_worker, (port, str(tmp_path)), nprocs=2)
    head = build_runner(str(tmp_path)).model.decode_head
    assert isinstance(head, LinearHead)
    assert type(head.norm) is nn.BatchNorm2d


def test_on_accelerators_it_is_pytorchs_own() -> None:
    assert type(synchronise_batch_norm(model(), "cuda")[1]) is nn.SyncBatchNorm
