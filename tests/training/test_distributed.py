"""Two processes on the CPU do what one does, with the model whole in each or sharded over both."""

import json
import multiprocessing
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.tensor import DTensor

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.training import evaluate, train
from internvl_seg.training.runner import ResumableRunner, leave_group

from .test_config import CONFIG
from .test_kill_and_resume import RANDOM
from .test_runner import EXTRA, config  # noqa: F401  (a fixture)

# Augmentation as in training, but nothing that a process draws for itself; layer decay, and a schedule.
LEARNING = """
model['backbone'].update(drop_path_rate=0.0, out_indices=(0, 0, 1, 1), frozen=False, with_cp=True)
model['data_preprocessor'].update(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
model['neck'] = dict(type='FeaturePyramid', embed_dim=32)
head = dict(channels=8, dropout_ratio=0.0, num_classes=4, norm_cfg=dict(type='BN'))
model['decode_head'] = dict(type='UPerHead', in_index=[0, 1, 2, 3], in_channels=[32] * 4, **head)
model['auxiliary_head'] = dict(type='FCNHead', in_index=1, in_channels=32, **head)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(OPTIMIZER, weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.9))
train_dataloader.update(num_workers=0, persistent_workers=False)
default_hooks['checkpoint'].update(interval=2, max_keep_ckpts=-1)
train_cfg.update(max_iters=4, val_interval=4)
randomness = dict(seed=5)
find_unused_parameters = False
env_cfg = dict(dist_cfg=dict(backend='gloo'))
"""


@pytest.fixture
def training_config(config: Path) -> None:  # noqa: F811
    """A config in the folder where the program runs, with four tiny images."""
    # Adam's first steps follow the sign of a gradient, however small, so that rounding would be seen.
    config.write_text(CONFIG + EXTRA + RANDOM + LEARNING.replace("OPTIMIZER", "type='SGD', lr=0.05, momentum=0.9"))


HALF = {"train_dataloader.batch_size": 2}
WHOLE = {"train_dataloader.batch_size": 4}
SHARDED = {"model_wrapper_cfg": {"type": "FullyShard"}}
Call = tuple[str, str, dict[str, Any]]  # train or evaluate, work folder, options


def worker(rank: int, port: int, calls: Sequence[Call], kept: Any) -> None:
    os.environ.update(LOCAL_RANK=str(rank), RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    os.environ["MASTER_PORT"] = str(port)
    torch.set_num_threads(1)
    wrap = ResumableRunner.wrap_model

    def look(self: ResumableRunner, *args: Any) -> Any:
        model = wrap(self, *args)
        parameters = list(model.parameters())
        local = [p.to_local() if isinstance(p, DTensor) else p for p in parameters]
        kept[rank, self.work_dir] = sum(p.numel() for p in local) / sum(p.numel() for p in parameters)
        return model

    ResumableRunner.wrap_model = look
    for command, work_dir, options in calls:
        options["visualizer.name"] = work_dir  # It is kept by name, with its folder.
        if command == "train":
            resume = options.pop("resume", False)
            train("config.py", work_dir=work_dir, options=options, resume=resume, launcher="pytorch")
        else:
            evaluate("config.py", options.pop("checkpoint"), work_dir=work_dir, options=options, launcher="pytorch")
    leave_group()


def on_two_processes(*calls: Call) -> dict[tuple[int, str], float]:
    """Make calls on two processes; gives the share of the model's numbers by process and work folder."""
    multiprocessing.set_forkserver_preload(["internvl_seg"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with mp.Manager() as manager:
        kept = manager.dict()
        mp.start_processes(worker, (port, calls, kept), nprocs=2, start_method="forkserver")
        return {(rank, Path(folder).name): share for (rank, folder), share in kept.items()}


def state(path: str) -> dict[str, Tensor]:
    return dict(read_pickle(Path(path))["state_dict"])


def losses(work_dir: str) -> list[float]:
    (path,) = Path(work_dir).rglob("scalars.json")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


def assert_equal_states(got: dict[str, Tensor], expected: dict[str, Tensor], atol: float = 1e-5) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=atol, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.usefixtures("training_config")
def test_two_processes_train_and_score_as_one() -> None:
    train("config.py", work_dir="one", options=dict(WHOLE))
    expected = evaluate("config.py", "one/iter_4.pth", work_dir="one")
    share = on_two_processes(
        ("train", "two", dict(HALF)),
        ("evaluate", "two", {"checkpoint": "one/iter_4.pth"}),
        ("train", "sharded", HALF | SHARDED),
        ("evaluate", "sharded", SHARDED | {"checkpoint": "one/iter_4.pth"}),
    )
    first = state("one/iter_2.pth")
    for folder in ("two", "sharded"):
        # The gradient is that of one process with the whole batch, so the weights are after every step.
        assert_equal_states(state(f"{folder}/iter_2.pth"), first)
        assert_equal_states(state(f"{folder}/iter_4.pth"), state("one/iter_4.pth"))
        assert json.loads(Path(folder, "test_results.json").read_text())["metrics"] == expected
    assert not torch.equal(first["backbone.pos_embed"], state("one/iter_4.pth")["backbone.pos_embed"])
    # Each process logs the loss of its half.
    assert losses("sharded") == pytest.approx(losses("two"), rel=1e-5)
    for rank in (0, 1):
        assert share[rank, "two"] == 1
        assert share[rank, "sharded"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_a_sharded_run_resumes_and_its_checkpoint_is_a_plain_one(config: Path) -> None:  # noqa: F811
    config.write_text(CONFIG + EXTRA + RANDOM + LEARNING.replace("OPTIMIZER", "type='AdamW', lr=1e-3"))
    train("config.py", work_dir="first", options={"train_cfg.max_iters": 2})
    pretrained = {"model.backbone.init_cfg": {"type": "Pretrained", "checkpoint": "first/iter_2.pth"}}
    options = HALF | SHARDED | pretrained
    on_two_processes(
        ("train", "whole", dict(options)),
        ("train", "run", options | {"train_cfg.max_iters": 2}),
        ("train", "run", options | {"resume": True}),
    )
    whole, resumed = read_pickle(Path("whole/iter_4.pth")), read_pickle(Path("run/iter_4.pth"))
    for name, value in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], value), name
    for number, moments in whole["optimizer"]["state"].items():
        assert torch.equal(resumed["optimizer"]["state"][number]["exp_avg_sq"], moments["exp_avg_sq"])
    # The encoder's weights were read into the shards, and one process reaches the same from the start or on the way.
    train("config.py", work_dir="one", options=WHOLE | pretrained)
    # AdamW's steps have the size of the learning rate, 1e-3, whatever the gradient's: where that is nearly zero,
    # rounding, which differs with the CPU, decides on a part of one.
    part = 5e-5
    assert_equal_states(state("one/iter_4.pth"), whole["state_dict"], part)
    Path("run/last_checkpoint").write_text("iter_2.pth")
    train("config.py", work_dir="run", resume=True, options=WHOLE | pretrained)
    assert_equal_states(state("run/iter_4.pth"), whole["state_dict"], part)
