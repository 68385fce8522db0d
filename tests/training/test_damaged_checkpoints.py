"""Each field of a checkpoint that is resumed from, damaged: an error that names the file and the field."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from internvl_seg.checkpoints.errors import CheckpointError, NonFiniteWeightsError, TruncatedCheckpointError
from internvl_seg.checkpoints.whole_model import WrongWeightsError
from internvl_seg.training.checkpoint_fields import NotResumableError
from internvl_seg.training.config import load_config
from internvl_seg.training.last_checkpoint import find_last_checkpoint
from internvl_seg.training.non_finite_hook import NonFiniteStepHook
from internvl_seg.training.runner import ResumableRunner
from internvl_seg.training.same_run import OtherRunError

from ..error_table import DocumentedError
from .test_resume import TEXT, change, log, train
from .test_runner import make_images

HOOKS = "custom_hooks = [dict(type='EarlyStoppingHook', monitor='mIoU')]\n"
WEIGHT, VARIANCES = "decode_head.conv_seg.weight", "decode_head.norm.running_var"
NAN = float("nan")
Content = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of two iterations, in which the program runs; its checkpoints are in ``kept``, too."""
    folder, before = tmp_path_factory.mktemp("damaged"), Path.cwd()
    os.chdir(folder)
    make_images(folder)
    Path("config.py").write_text(TEXT + VALIDATED)
    train("config.py", work_dir="run", options={"train_cfg.max_iters": 2, "default_hooks.checkpoint.interval": 1})
    shutil.copytree("run", "kept")
    yield folder
    os.chdir(before)


VALIDATED = (
    """
val_dataloader = test_dataloader
val_evaluator = test_evaluator
val_cfg = dict(type='ValLoop')
train_cfg.update(val_interval=1)
"""
    + HOOKS
)


def resume(**options: Any) -> None:
    train("config.py", work_dir="run", resume=True, options=options)


@pytest.fixture
def run(folder: Path) -> Path:
    """The run as it was."""
    shutil.rmtree("run")
    shutil.copytree("kept", "run")
    return Path("run")


def put(*path: Any, to: Any) -> Callable[[Content], None]:
    """What sets a field; it is taken out where the value is `...`."""

    def alter(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        if to is ...:
            del content[path[-1]]
        else:
            content[path[-1]] = to

    return alter


EARLY = {"wait_count": 0, "best_score": 1.0, "stopped": True, "patience": "two"}
META = {
    "iter": [..., "2", -1, True, 2.0],
    "epoch": [None, "0"],
    "seed": ["three", -5, 2**40, 1.5],
    "dataset_meta": [3, "text", {"classes": 4}, {"classes": "abcd"}],
    "samples": ["4", 4.0, -4],
    "images": [4, ["0.png"]],
    "world_size": ["1", 0, None],
}
FIELDS: dict[str, tuple[tuple[Any, ...], list[Any]]] = {
    "meta": (("meta",), [None, 5, [], "text"]),
    "state_dict": (("state_dict",), [None, 5, [1]]),
    WEIGHT: (("state_dict", WEIGHT), [3, None, "text", [1.0]]),
    "optimizer": (("optimizer",), [None, 5, [], {}, {"state": {}}, {"state": [], "param_groups": []}]),
    "optimizer.state": (("optimizer", "state", "a"), [{}]),
    "optimizer.state[0]": (("optimizer", "state", 0), [5, [1], torch.zeros(3), None, {"step": 1.0}]),
    "optimizer.state[0].step": (("optimizer", "state", 0, "step"), [..., None, "two", NAN, torch.zeros(3)]),
    "optimizer.state[0].exp_avg": (
        ("optimizer", "state", 0, "exp_avg"),
        [..., None, 5, "a", torch.zeros(3), torch.zeros(()), [0.0]],
    ),
    "optimizer.state[3].exp_avg_sq": (("optimizer", "state", 3, "exp_avg_sq"), [..., torch.zeros(1, 2, 3)]),
    "optimizer.param_groups": (("optimizer", "param_groups", 0), [5, None]),
    "optimizer.param_groups[0].lr": (
        ("optimizer", "param_groups", 0, "lr"),
        [..., None, "0.1", NAN, float("inf"), -0.1],
    ),
    "optimizer.param_groups[0].betas": (("optimizer", "param_groups", 0, "betas"), [..., 5, (0.9,), (0.9, "b")]),
    "optimizer.param_groups[0].eps": (("optimizer", "param_groups", 0, "eps"), [..., NAN, None]),
    "optimizer.param_groups[0].foreach": (("optimizer", "param_groups", 0, "foreach"), [torch.zeros(3), [1]]),
    "optimizer.param_groups[0].weight_decay": (("optimizer", "param_groups", 0, "weight_decay"), [10**30, True]),
    "optimizer.param_groups[0].params": (("optimizer", "param_groups", 0, "params"), [..., None, ["a"], 3]),
    "param_schedulers": (("param_schedulers",), [5, "text", {"a": 1}]),
    "param_schedulers[0]": (("param_schedulers", 0), [5, None, {}, "text"]),
    "param_schedulers[0].last_step": (("param_schedulers", 0, "last_step"), ["x", NAN, None, [2]]),
    "param_schedulers[0].end": (("param_schedulers", 0, "end"), ["x", NAN, torch.zeros(3)]),
    "param_schedulers[0]._global_step": (("param_schedulers", 0, "_global_step"), ["y"]),
    "param_schedulers[0]._last_value": (("param_schedulers", 0, "_last_value"), [0.1, [], ["a"], [NAN]]),
    "message_hub": (("message_hub",), [5, None, [], {}]),
    "message_hub.log_scalars": (("message_hub", "log_scalars"), [3, {"a": 3}, {4: 5}]),
    "message_hub.runtime_info": (
        ("message_hub", "runtime_info"),
        ["text", ..., {"best_score": "a"}, {"best_score_mIoU": NAN}, {"keep_ckpt_ids": 5}],
    ),
    "message_hub.resumed_keys": (("message_hub", "resumed_keys"), [None, {"a": "b"}]),
    "hooks": (("hooks",), [5, [1, 2], None]),
    "hooks.CheckpointHook": (("hooks", "CheckpointHook"), [7, {}, {"kept": 5, "outdated": [], "best": {}}, None]),
    "hooks.EarlyStoppingHook": (
        ("hooks", "EarlyStoppingHook"),
        [7, {}, {"wait_count": "a", "best_score": 1.0, "stopped": False}, {"wait_count": 0, "best_score": NAN}, EARLY],
    ),
    "hooks.NonFiniteStepHook": (("hooks", "NonFiniteStepHook"), [7, {}, {"in_a_row": "many"}]),
    **{f"meta.{key}": (("meta", key), values) for key, values in META.items()},
}


@pytest.fixture(scope="module")
def runner(folder: Path) -> ResumableRunner:
    """A runner that is about to resume."""
    config = load_config("config.py", {"work_dir": "run", "launcher": "none"})
    runner = ResumableRunner.from_cfg(config)
    runner.register_hook(NonFiniteStepHook())
    return runner


@pytest.mark.usefixtures("run")
def test_what_was_not_asked_for_is_not_called_missing(
    runner: ResumableRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner.logger, "handlers", [caplog.handler])
    runner.resume("run/iter_2.pth", resume_optimizer=False, resume_param_scheduler=False)
    assert "resumed epoch" in caplog.text
    assert "holds no state" not in caplog.text


@pytest.mark.parametrize("field", FIELDS)
def test_a_damaged_field_is_named(run: Path, runner: ResumableRunner, field: str) -> None:
    path, values = FIELDS[field]
    for value in values:
        shutil.copy("kept/iter_2.pth", "run/iter_2.pth")
        change(run / "iter_2.pth", put(*path, to=value))
        # An error may come when a part is taken.
        runner.optim_wrapper = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
        runner.param_schedulers = runner.build_param_scheduler(runner.cfg.param_scheduler)
        with pytest.raises(NotResumableError) as caught:
            runner.resume("run/iter_2.pth")
        message = str(caught.value)
        assert "run/iter_2.pth cannot be resumed from" in message
        # Which checkpoint can be taken in its place.
        assert "iter_1.pth is whole: to go on from it, write iter_1.pth into " in message
        if field not in ("meta", "meta.iter", "meta.epoch", "state_dict"):
            assert field.partition("[")[0] in message


def test_a_documented_one(run: Path, documented_error: DocumentedError) -> None:
    change(run / "iter_2.pth", put("optimizer", "param_groups", 0, "lr", to=...))
    with documented_error("a field of the checkpoint that is resumed from is damaged", NotResumableError):
        resume()
    change(run / "iter_2.pth", put("meta", "cfg", to=4))
    with pytest.raises(NotResumableError, match=r"meta\.cfg is 4, expected the text of a config"):
        resume()


@pytest.mark.parametrize(
    ("named", "alter"),
    {
        WEIGHT: lambda c: c["state_dict"][WEIGHT].view(-1)[1].fill_(NAN),
        VARIANCES: lambda c: c["state_dict"][VARIANCES].fill_(float("inf")),
        "optimizer.state[1].exp_avg": lambda c: c["optimizer"]["state"][1]["exp_avg"].fill_(NAN),
        "optimizer.state[5].exp_avg_sq": lambda c: c["optimizer"]["state"][5]["exp_avg_sq"].view(-1)[0].fill_(-NAN),
    }.items(),
)
def test_nan_is_named_when_it_is_read(run: Path, named: str, alter: Callable[[Content], None]) -> None:
    change(run / "iter_2.pth", alter)
    with pytest.raises(NonFiniteWeightsError) as caught:
        resume()
    assert str(caught.value).startswith(f"run/iter_2.pth: {named}: ")
    assert "iter_1.pth is whole" in str(caught.value)
    if "optimizer" not in named:  # A run of its own takes the weights alone.
        with pytest.raises(NonFiniteWeightsError, match="run/iter_2.pth: " + named):
            train("config.py", work_dir="new", options={"load_from": "run/iter_2.pth"})
        assert not list(Path("new").glob("*.pth"))


def test_averages_of_nan(run: Path) -> None:
    Path("averaging.py").write_text(TEXT + "custom_hooks = [dict(type='EMAHook')]\n")
    train("averaging.py", work_dir="averaged", options={"train_cfg.max_iters": 2})
    change(Path("averaged/iter_2.pth"), lambda c: c["ema_state_dict"]["module." + WEIGHT].fill_(NAN))
    with pytest.raises(NonFiniteWeightsError, match=f"ema_state_dict: module.{WEIGHT}"):
        train("averaging.py", work_dir="averaged", resume=True)


def test_weights_that_are_no_weights_of_the_model(run: Path, documented_error: DocumentedError) -> None:
    for content in ([1], {"state_dict": 5}, {"state_dict": {WEIGHT: 3}}, {"state_dict": {}}):
        torch.save(content, "other.pth")
        with pytest.raises(CheckpointError, match=r"other\.pth"):
            train("config.py", work_dir="new", options={"load_from": "other.pth"})
    torch.save({"state_dict": {"encoder.weight": torch.ones(2)}}, "other.pth")
    with documented_error("a run is to begin with weights of another model", WrongWeightsError):
        train("config.py", work_dir="new", options={"load_from": "other.pth"})


@pytest.mark.parametrize(
    ("name", "value"), [(VARIANCES, ...), (VARIANCES, torch.ones(3)), (WEIGHT, torch.ones(4, 32, 1, 1).long())]
)
def test_statistics_and_kinds_are_compared_as_shapes_are(run: Path, name: str, value: Any) -> None:
    change(run / "iter_2.pth", put("state_dict", name, to=value))
    with pytest.raises(OtherRunError, match=name):
        resume()


def test_moments_that_are_gone_are_told(run: Path) -> None:
    change(run / "iter_2.pth", put("optimizer", "state", to={}))
    resume(**{"train_cfg.max_iters": 3})
    assert "holds no state of the moments of the optimizer, which begin anew: this run is not exact" in log(run)


def test_weights_alone_are_no_run(run: Path, documented_error: DocumentedError) -> None:
    for key in ("optimizer", "param_schedulers"):
        change(run / "iter_2.pth", put(key, to=...))
    with documented_error("a resumed checkpoint holds weights alone", NotResumableError):
        resume()


def test_an_older_whole_one_is_named_and_taken(run: Path, documented_error: DocumentedError) -> None:
    """And not an older one that is damaged, too, or holds weights alone."""
    os.truncate("run/iter_2.pth", 20_000)
    with documented_error("the last checkpoint is cut short", TruncatedCheckpointError):
        resume()
    Path("run/last_checkpoint").write_text("iter_1.pth")
    resume(**{"train_cfg.max_iters": 3})
    assert "resumed epoch: 0, iter: 1\n" in log(run)
    assert find_last_checkpoint("run") == run / "iter_3.pth"
    for name in ("iter_1.pth", "iter_2.pth"):
        os.truncate(run / name, 20_000)
    change(run / "iter_3.pth", put("optimizer", to=...))
    shutil.copy(run / "iter_3.pth", run / "iter_4.pth")
    Path("run/last_checkpoint").write_text("iter_2.pth")
    with pytest.raises(TruncatedCheckpointError, match="No other whole checkpoint of the run is in run: begin it anew"):
        resume()
