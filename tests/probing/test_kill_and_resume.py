"""A study that is killed again and again ends with the features and heads of one that never was."""

import os
import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from rich.console import Console

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.probing import feature_store, head_training, probe

from ..commands import CONTEXT

# Long enough for ten kills: small shards, many steps, every kind of state.
OPTIONS = {
    "probe.views": 6,
    "probe.iterations": 400,
    "probe.heads": [
        {"kind": "linear", "lr": [1e-2, 1e-1], "weight_decay": [0.0, 0.1]},
        {"kind": "mlp", "channels": 8, "solver": "sgd"},
        {"kind": "linear", "solver": "lbfgs", "weight_decay": [1e-2]},
    ],
    "probe.store.batch_size": 1,
    "probe.few_shot.fractions": [0.5],
    "probe.few_shot.draws": 1,
    "probe.lbfgs_iterations": 20,
}


def run(folder: Path, name: str) -> None:
    """A process of its own: begin a study, or go on with it."""
    os.chdir(folder)
    os.dup2(os.open(f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    torch.set_num_threads(1)
    feature_store.SHARD_BYTES = 1 << 13
    head_training._SAVE_EVERY = 0.05
    options = OPTIONS | {"probe.store.folder": f"{name}-features"}
    probe("config.py", work_dir=name, resume=True, options=options, console=Console())


Start = Callable[[str], BaseProcess]


@pytest.fixture
def start(config: Path) -> Start:
    """Start a study in a process that has everything imported, so that a kill can fall on any of its moments."""

    def start(name: str) -> BaseProcess:
        process = CONTEXT.Process(target=run, args=(Path.cwd(), name))
        process.start()
        return process

    return start


def shards(name: str) -> list[str]:
    return sorted(path.name for path in Path(f"{name}-features").glob("*/view*"))


def steps(name: str) -> int:
    """Steps in the newest state of the heads."""
    states = [path for path in Path(name).glob("state/[!.]*.pth") if "lbfgs" not in path.name]
    return max((read_pickle(path)["step"] for path in states), default=0)


def heads(name: str) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: read_pickle(path)["state_dict"] for path in Path(name).glob("heads/*.pth")}


@pytest.mark.slow
def test_ten_kills(start: Start) -> None:
    whole = start("whole")
    whole.join()
    assert whole.exitcode == 0, Path("whole.log").read_text()[-2000:]
    moments, left = random.Random(0), []
    for kill in range(10):
        count, progress = (lambda: len(shards("killed")), lambda: steps("killed"))
        watched = count if kill < 5 else progress
        done = watched()
        process = start("killed")
        while watched() < done + (moments.randint(1, 5) if kill < 5 else 1) and process.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        assert process.is_alive(), "the study was over before its tenth kill"
        process.kill()  # SIGKILL.
        process.join()
        left.append((count(), progress()))
    print("shards and steps that the kills left:", left)
    assert left[4][0] < len(shards("whole")), "no kill fell on the writing of features"
    assert 0 < left[9][1] < OPTIONS["probe.iterations"]
    assert len({step for _, step in left[5:]}) > 3
    process = start("killed")
    process.join()
    assert process.exitcode == 0, Path("killed.log").read_text()[-2000:]

    assert shards("killed") == shards("whole")  # Their names hold the hash of their bytes.
    assert (Path("killed") / "results.csv").read_text() == (Path("whole") / "results.csv").read_text()
    found, expected = heads("killed"), heads("whole")
    assert found.keys() == expected.keys()
    for name, state in expected.items():
        assert all(torch.equal(found[name][key], value) for key, value in state.items()), name
    assert not [path for path in Path().rglob(".*") if ".tmp" in path.name]
