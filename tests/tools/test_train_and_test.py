"""The commands as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..training.test_runner import config  # noqa: F401  (a fixture: a config with four tiny images)

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOLS / command[0]), *command[1:]], capture_output=True, text=True)


@pytest.mark.usefixtures("config")
def test_train_then_test() -> None:
    options = ["--work-dir", "run", "--cfg-options", "train_cfg.max_iters=1", "randomness.seed=7"]
    trained = run("train.py", "config.py", *options)
    assert trained.returncode == 0, trained.stderr
    tested = run("test.py", "config.py", "run/iter_1.pth", "--work-dir", "run", "--show-dir", "pictures", "--tta")
    assert tested.returncode == 0, tested.stderr
    for name in ("background", "connective", "inflammatory", "neoplastic", "mIoU"):
        assert name in tested.stdout
    assert json.loads(Path("run/test_results.json").read_text())["metrics"].keys() >= {"mIoU"}
    assert len(list(Path("pictures").glob("*.png"))) == 4


@pytest.mark.usefixtures("config")
def test_a_mistake_is_one_line_and_exit_code_1() -> None:
    done = run("train.py", "config.py", "--cfg-options", "model.decode_head.type=LinearHaed")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ConfigError: config.py: model.decode_head: type='LinearHaed' is not registered; "
        "check its spelling and custom_imports."
    )
    assert "Traceback" not in done.stderr
    done = run("test.py", "config.py", "nothing.pth")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ConfigError: There is no checkpoint 'nothing.pth'")
