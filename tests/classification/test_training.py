"""Training a classifier: passes over the data, the average of its weights, kills, and what is checked before."""

import itertools
import math
import multiprocessing
import os
import re
import time
from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS
from torch.utils.data import DataLoader

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.checkpoints.whole_model import WrongWeightsError
from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import ConfigError, evaluate, train
from internvl_seg.training.config import load_config
from internvl_seg.training.ema_hook import TRAINED, TrainedEMAHook
from internvl_seg.training.last_checkpoint import find_last_checkpoint
from internvl_seg.training.stream import StreamSampler

from ..error_table import DocumentedError
from .small import write

# 15 images in batches of 4: a pass has 3 whole ones.
PASSES = """
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1, momentum=0.9))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.5, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", T_max=2, eta_min=0.0, by_epoch=True, begin=2, end=4, convert_to_iter_based=True)]
train_cfg = dict(max_epochs=4, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=-1), logger=dict(interval=1))
custom_hooks = [dict(type="TrainedEMAHook", decay=0.9)]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, PASSES)


def test_passes_rates_and_the_average(config: Path) -> None:
    train(config, work_dir="run")
    steps = [read_pickle(Path(f"run/iter_{i}.pth")) for i in range(1, 13)]
    assert find_last_checkpoint(Path("run")) == Path("run/iter_12.pth")  # 4 passes of 3 batches.
    rates = [step["optimizer"]["param_groups"][0]["lr"] for step in steps]
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.05 * (1 + math.cos(math.pi * 5 / 6)), rel=1e-3)  # Of the last of 6 steps.
    assert rates.index(max(rates)) in (4, 5, 6)  # After two passes.
    # The average, from the weights of every step.
    name = "head.classifier.head.weight"
    average = torch.tensor(0.0)
    for before, step in itertools.pairwise(steps):
        average = before["state_dict"][name] * 0.9 + step[TRAINED][name] * 0.1
        torch.testing.assert_close(step["state_dict"][name], average)
    assert not average.equal(steps[-1][TRAINED][name])
    running = "head.classifier.norm.running_mean"
    torch.testing.assert_close(
        steps[-1]["state_dict"][running], steps[-2]["state_dict"][running] * 0.9 + steps[-1][TRAINED][running] * 0.1
    )
    # Of a frozen encoder nothing is kept, neither weights nor an average.
    assert not any("blocks" in key for key in (*steps[-1]["state_dict"], *steps[-1][TRAINED]))
    # What is validated and tested is the average.
    log = "".join(path.read_text() for path in Path("run").rglob("*.log"))
    validated = [float(score) for score in re.findall(r"Iter\(val\).*accuracy/top1: ([\d.]+)", log)]
    assert len(validated) == 2
    tested = evaluate(config, "run/iter_12.pth", work_dir="tested")
    assert tested["accuracy/top1"] == pytest.approx(validated[-1], abs=1e-3)
    assert tested["accuracy/top1"] > 60


def _go_on(folder: Path, work_dir: str) -> None:
    os.chdir(folder)
    os.dup2(os.open(f"{work_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    torch.set_num_threads(1)
    train("config.py", work_dir=work_dir, resume=True)


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mixed = """
model.update(
    data_preprocessor=dict(num_classes=3),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]))
train_cfg = dict(max_epochs=20, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2))
"""
    write(tmp_path, PASSES + mixed, workers=1)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["internvl_seg"])
    for work_dir, kills in (("whole", ()), ("killed", (5, 25))):
        for iteration in (*kills, None):
            process = context.Process(target=_go_on, args=(tmp_path, work_dir))
            process.start()
            while iteration is not None and not Path(work_dir, f"iter_{iteration}.pth").is_file():
                assert process.is_alive(), Path(f"{work_dir}.log").read_text()[-2000:]
                time.sleep(0.005)
            if iteration is not None:
                process.kill()
            process.join()
            assert iteration is not None or process.exitcode == 0, Path(f"{work_dir}.log").read_text()[-2000:]
    whole, killed = (read_pickle(Path(folder, "iter_60.pth")) for folder in ("whole", "killed"))
    for part in ("state_dict", TRAINED):
        assert whole[part].keys() == killed[part].keys()
        for name, tensor in whole[part].items():
            assert tensor.equal(killed[part][name]), name


def test_the_learning_rate_follows_the_batch(config: Path) -> None:
    found = {}
    for batch in (4, 8):
        options = {
            "train_dataloader.batch_size": batch,
            "auto_scale_lr": {"enable": True, "base_batch_size": 4},
            "train_cfg.max_epochs": 1,
            "param_scheduler": [],
        }
        train(config, work_dir=f"batch{batch}", options=options)
        last = find_last_checkpoint(Path(f"batch{batch}"))
        assert last is not None
        found[batch] = read_pickle(last)["optimizer"]["param_groups"][0]["lr"]
    assert found == {4: 0.1, 8: 0.2}


def test_what_is_checked_before(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("a classifier has other classes than its data", ConfigError):
        train(config, work_dir="run", options={"model.head.num_classes": 4}, allow=["num_classes"])
    told = r"num_classes = 4, the train set has 3.* tools/train\.py \S+ --work-dir run --cfg-options \S+classes=3"
    with pytest.raises(DatasetError, match=told):
        train(config, work_dir="run", options={"model.head.num_classes": 4})
    loaded = load_config(config, {"model.head.num_classes": 4})
    torch.save({"state_dict": MODELS.build(loaded.model).state_dict()}, "four.pth")
    with pytest.raises(ConfigError, match=r"num_classes = 4, but test_dataloader\.dataset has 3 classes"):
        evaluate(config, "four.pth", work_dir="run", options={"model.head.num_classes": 4}, allow=["num_classes"])
    with pytest.raises(DatasetError, match="num_classes = 4, the test set has 3"):
        evaluate(config, "four.pth", work_dir="run", options={"model.head.num_classes": 4})
    with pytest.raises(ConfigError, match="max_iters=3 and max_epochs=4: give one of the two"):
        train(config, work_dir="run", options={"train_cfg.max_iters": 3})
    with pytest.raises(ValueError, match=r"decay=1\.5 is the weight of the average so far"):
        TrainedEMAHook(decay=1.5)


def test_images_are_looked_at_before(config: Path) -> None:
    torch.save({}, "none.pth")
    Path("photos/val/ant/0.png").write_bytes(Path("photos/train/ant/0.png").read_bytes())
    with pytest.raises(DatasetError, match=r"overlap: .*val/ant/0\.png = train/ant/0\.png"):
        train(config, work_dir="run")
    Path("photos/val/bee/0.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"unreadable: .*val/bee/0\.png"):
        evaluate(config, "none.pth", work_dir="run")


def test_a_pass_has_as_many_batches_on_several_processes() -> None:
    for drop_last, sizes in ((True, (15, 16, 17)), (False, (15, 16, 17))):
        for size in sizes:
            lengths = set()
            for processes in (1, 2, 4):
                sampler = StreamSampler(dataset=range(size), round_up=not drop_last)
                sampler.world_size = processes
                loader = DataLoader(range(size), batch_size=8 // processes, sampler=sampler, drop_last=drop_last)
                lengths.add(len(loader))
            assert lengths == {size // 8 if drop_last else -(-size // 8)}


def test_a_checkpoint_of_another_model_is_not_tested(config: Path) -> None:
    torch.save({"state_dict": {"head.classifier.head.bias": torch.zeros(3)}}, "half.pth")
    with pytest.raises(WrongWeightsError, match="lacks 5 tensors of the model"):
        evaluate(config, "half.pth", work_dir="run")
