"""The commands as a user types them."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools import test as tool
from tools import train as trainer

from ..commands import run_command
from ..training.test_commands import checkpoint  # noqa: F401  (a fixture: random weights of the config's model)
from ..training.test_non_finite_hook import Spoil  # noqa: F401  (registers a hook)
from ..training.test_runner import config  # noqa: F401  (a fixture: a config with four tiny images)


@pytest.mark.usefixtures("config")
def test_train_then_test() -> None:
    options = ["--work-dir", "run", "--cfg-options", "train_cfg.max_iters=1", "randomness.seed=7"]
    trained = run_command("train.py", "config.py", *options)
    assert trained.returncode == 0, trained.stderr
    options = ["--work-dir", "run", "--show-dir", "pictures", "--tta"]
    tested = run_command("test.py", "config.py", "run/iter_1.pth", *options)
    assert tested.returncode == 0, tested.stderr
    for name in ("background", "connective", "inflammatory", "neoplastic", "mIoU"):
        assert name in tested.stdout
    assert json.loads(Path("run/test_results.json").read_text())["metrics"].keys() >= {"mIoU"}
    assert len(list(Path("pictures").glob("*.png"))) == 4


@pytest.mark.usefixtures("config")
def test_a_mistake_is_one_line_and_exit_code_1() -> None:
    done = run_command("train.py", "config.py", "--cfg-options", "model.decode_head.type=LinearHaed")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ConfigError: config.py: model.decode_head: type='LinearHaed' is not registered; "
        "check its spelling and custom_imports."
    )
    assert "Traceback" not in done.stderr
    done = run_command("test.py", "config.py", "nothing.pth")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ConfigError: There is no checkpoint 'nothing.pth'")


def test_a_step_is_replayed_in_a_few_lines(
    config: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoilt = """
custom_hooks = [dict(type='Spoil', what='image', at=[1])]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=9)
optim_wrapper['paramwise_cfg'] = dict(bias_lr_mult=2.0)
"""
    config.write_text(config.read_text() + spoilt)
    monkeypatch.setattr(sys, "argv", ["train.py", "config.py", "--work-dir", "run"])
    trainer.main()
    assert "paramwise_options" not in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["train.py", "config.py", "--replay", "run/non_finite_step.pth"])
    trainer.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1, images: tiny/images/")
    assert "loss = nan (in the training: nan)" in lines
    assert any(re.fullmatch(r"decode\.acc_seg = \S+", line) for line in lines)
    assert lines[-2] == "Weights that are not finite: 0."
    assert re.fullmatch(
        r"Gradients that are not finite: 34\. backbone\.cls_token, (.+, ){10}.+ and 22 more\.", lines[-1]
    )
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((14, 21), "size_mismatch: .*0.png: 42x28, its mask 21x14"),
        ((28, 42, 3), "rgb_mask: .*0.png: RGB, "),
    ],
)
@pytest.mark.usefixtures("config", "checkpoint")
def test_a_mask_that_does_not_fit_is_told_before_the_test(
    shape: tuple[int, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros(shape, np.uint8)
    mask[..., 1:] = 1  # Channels that are equal would be read as ids.
    Image.fromarray(mask).save("tiny/annotations/0.png")
    monkeypatch.setattr(sys, "argv", ["test.py", "config.py", "model.pth", "--work-dir", "run"])
    with pytest.raises(SystemExit) as end:
        tool.main()
    assert re.search(told, str(end.value.code))
    assert "Traceback" not in str(end.value.code)


@pytest.mark.usefixtures("config", "checkpoint")
def test_masks_of_0_and_255_are_told_before_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in Path("tiny/annotations").glob("*.png"):
        Image.fromarray(np.where(np.asarray(Image.open(path)) > 0, 255, 0).astype(np.uint8)).save(path)
    monkeypatch.setattr(sys, "argv", ["test.py", "config.py", "model.pth", "--work-dir", "run"])
    with pytest.raises(SystemExit) as end:
        tool.main()
    assert "object_ignored: masks of 0 and 255 alone, where 255 is the label that is ignored" in str(end.value.code)
