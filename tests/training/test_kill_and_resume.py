"""A run that is killed again and again ends with the weights of one that never was."""

import json
import os
import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.training import ConfigError, train
from internvl_seg.training.last_checkpoint import find_last_checkpoint

from ..commands import CONTEXT
from .test_config import CONFIG
from .test_runner import EXTRA, config, weights  # noqa: F401  (config is a fixture)

ITERATIONS = 100
INTERVAL = 4
# Everything that draws random numbers: crops, flips and colours in two workers, dropout, drop path; and whatever a
# checkpoint has to hold: moments, schedules, running statistics, the best score.
RANDOM = f"""
crop = (28, 28)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(84, 56), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs'),
]
train_dataloader.update(batch_size=3, num_workers=2, persistent_workers=True)
train_dataloader['dataset'] = dict(train_dataloader['dataset'], pipeline=train_pipeline)
model['data_preprocessor'].update(size=crop)
model['backbone'].update(drop_path_rate=0.3)
model['decode_head'].update(dropout_ratio=0.2)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3), accumulative_counts=2, clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end={ITERATIONS}),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters={ITERATIONS}, val_interval=20)
default_hooks['checkpoint'].update(interval={INTERVAL}, max_keep_ckpts=1, save_best='mIoU')
randomness = dict(seed=5)
"""


def run(folder: Path, work_dir: str) -> None:
    """A process of its own: train, or go on."""
    os.chdir(folder)
    os.dup2(os.open(f"{work_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    torch.set_num_threads(1)
    train("config.py", work_dir=work_dir, resume=True)


Start = Callable[[str], BaseProcess]


@pytest.fixture
def start(config: Path) -> Start:  # noqa: F811
    """Start a run in a process that has everything imported, so that a kill can fall on any of its moments."""
    config.write_text(CONFIG + EXTRA + RANDOM)

    def start(work_dir: str) -> BaseProcess:
        process = CONTEXT.Process(target=run, args=(Path.cwd(), work_dir))
        process.start()
        return process

    return start


def losses(work_dir: str) -> list[tuple[int, float]]:
    """Every iteration that was logged in any of a folder's runs, with its loss."""
    lines = [line for path in Path(work_dir).rglob("scalars.json") for line in path.read_text().splitlines()]
    # The last line of a killed run may be cut short.
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return sorted((entry["step"], entry["loss"]) for entry in entries if "loss" in entry)


@pytest.mark.slow
def test_eight_kills(start: Start) -> None:
    whole = start("whole")
    whole.join()
    assert whole.exitcode == 0, Path("whole.log").read_text()[-2000:]
    moments, resumed = random.Random(0), [0]
    for kill in range(8):
        done = len(losses("killed"))
        process = start("killed")
        # Some kills fall on a run that is only starting, the others on any moment of an iteration that is drawn.
        until = done + moments.randint(1, 10) if kill % 5 else done
        while len(losses("killed")) < until and process.is_alive():
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.02 if kill % 5 else 0.6))
        assert process.is_alive(), "the run was over before its eighth kill"
        process.kill()  # SIGKILL; data workers see that their parent is gone.
        process.join()
        last = find_last_checkpoint(Path("killed"))
        resumed.append(int(last.stem.removeprefix("iter_")) if last else 0)
    print("checkpoints that the kills left:", resumed)
    assert len(set(resumed)) > 4
    process = start("killed")
    process.join()
    assert process.exitcode == 0, Path("killed.log").read_text()[-2000:]

    found, expected = weights(f"killed/iter_{ITERATIONS}.pth"), weights(f"whole/iter_{ITERATIONS}.pth")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert [path.name for path in Path("killed").glob("iter_*")] == [f"iter_{ITERATIONS}.pth"]
    assert {path.name for path in Path("killed").glob(".*")} <= {".lock", ".lease"}
    loss_at = dict(losses("whole"))
    repeated = losses("killed")
    assert all(loss == loss_at[step] for step, loss in repeated)
    assert {step for step, _ in repeated} == set(range(1, ITERATIONS + 1))
    # What is done again is what came after the last checkpoint, and there is one every few iterations.
    assert len(repeated) - ITERATIONS <= 8 * INTERVAL
    log = Path("killed.log").read_text()
    assert all(f"iter: {step}\n" in log for step in resumed if step)


@pytest.mark.usefixtures("config")
def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    Path("config.py").write_text(CONFIG + EXTRA)
    train("config.py", work_dir="run")
    # Of an iteration that the resumed run does not write itself.
    Path("run/.iter_5.pth.tmp").write_bytes(b"half")
    Path("run/last_checkpoint").write_text("")
    train("config.py", work_dir="run", resume=True, options={"train_cfg.max_iters": 6})
    assert "resumed epoch: 0, iter: 4" in "".join(path.read_text() for path in Path("run").rglob("*.log"))
    assert {path.name for path in Path("run").glob("*.pth*")} == {"iter_2.pth", "iter_4.pth", "iter_6.pth"}
    assert {path.name for path in Path("run").glob(".*")} <= {".lock", ".lease"}


@pytest.mark.usefixtures("config")
def test_a_run_without_a_seed_goes_on_with_the_one_it_drew() -> None:
    Path("config.py").write_text(CONFIG + EXTRA.replace("randomness = dict(seed=3)", ""))
    train("config.py", work_dir="run", options={"train_cfg.max_iters": 2})
    seed = read_pickle(Path("run/iter_2.pth"))["meta"]["seed"]
    train("config.py", work_dir="run", resume=True)
    assert read_pickle(Path("run/iter_4.pth"))["meta"]["seed"] == seed
    train("config.py", work_dir="whole", options={"randomness.seed": seed})
    found, expected = weights("run/iter_4.pth"), weights("whole/iter_4.pth")
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.usefixtures("config")
def test_a_validation_that_was_cut_off_is_made_up_for() -> None:
    without = {"val_dataloader": None, "val_cfg": None, "val_evaluator": None}
    train("config.py", work_dir="run", options=without)
    log = Path("run")
    assert "mIoU" not in "".join(path.read_text() for path in log.rglob("*.log"))
    train("config.py", work_dir="run", resume=True)
    assert "mIoU" in "".join(path.read_text() for path in log.rglob("*.log"))


@pytest.mark.usefixtures("config")
def test_checkpoints_in_another_folder_are_found() -> None:
    Path("config.py").write_text(CONFIG + EXTRA)
    options = {"default_hooks.checkpoint.out_dir": "elsewhere"}
    train("config.py", work_dir="run", options=options | {"train_cfg.max_iters": 2})
    assert find_last_checkpoint(Path("run")).name == "iter_2.pth"
    train("config.py", work_dir="run", resume=True, options=options)
    assert "resumed epoch: 0, iter: 2" in "".join(path.read_text() for path in Path("run").rglob("*.log"))
    assert {path.name for path in Path("elsewhere/run").glob("*.pth")} == {"iter_2.pth", "iter_4.pth"}
    assert find_last_checkpoint(Path("nowhere")) is None


def test_gradients_half_gathered_are_not_saved(config: Path) -> None:  # noqa: F811
    config.write_text(CONFIG + EXTRA)
    options = {"optim_wrapper.accumulative_counts": 4, "default_hooks.checkpoint.interval": 6}
    with pytest.raises(ConfigError, match=r"interval = \d+ is no multiple of"):
        train(config, options=options)
