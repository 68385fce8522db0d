"""The shell scripts that start several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..training.test_runner import config  # noqa: F401  (a fixture: a config with four tiny images)

TOOLS = Path(__file__).resolve().parents[2] / "tools"


# Runs after everything that was registered later, when the interpreter is about to end.
WATCH = """
import atexit
import os
from pathlib import Path

def report():
    names = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").iterdir()]
    # In one piece: two processes write here.
    os.write(1, b"threads left: %d\\n" % sum("gloo" in name for name in names))

atexit.register(report)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("config")
def test_two_processes_train_and_test(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("watch.py").write_text(WATCH)
    path = Path("config.py")
    path.write_text(path.read_text().replace("imports=['internvl_seg']", "imports=['watch', 'internvl_seg']"))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("MASTER_PORT", str(20000 + os.getpid() % 10000))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ["--work-dir", "run", "--cfg-options", "train_cfg.max_iters=2", "train_cfg.val_interval=2"]
    trained = subprocess.run([TOOLS / "dist_train.sh", "config.py", "2", *options], capture_output=True, text=True)
    assert trained.returncode == 0, trained.stderr
    # One that outlives the interpreter aborts the process now and then.
    assert trained.stdout.count("threads left: 0") == 2
    tested = subprocess.run(
        [TOOLS / "dist_test.sh", "config.py", "run/iter_2.pth", "2", "--work-dir", "run"],
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stderr
    assert json.loads(Path("run/test_results.json").read_text())["metrics"].keys() >= {"mIoU"}


@pytest.mark.parametrize("name", ["dist_train.sh", "dist_test.sh", "slurm_train.sh", "slurm_test.sh"])
def test_a_script_says_how_it_is_used(name: str) -> None:
    done = subprocess.run([TOOLS / name, "one"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "usage: " in done.stderr


@pytest.mark.parametrize(("name", "arguments"), [("train", ["c.py"]), ("test", ["c.py", "m.pth"])])
def test_slurm_is_asked_for_the_right_number_of_tasks(
    name: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a command srun that prints what it is given: there is no Slurm where tests run."""
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("GPUS", "16")
    command = [TOOLS / f"slurm_{name}.sh", "gpu", "job", *arguments, "--resume"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert said[said.index("--ntasks") + 1] == "16"
    assert said[said.index("--gres") + 1] == "gpu:8"
    tail = said[said.index("-u") :]
    assert tail[1].endswith(f"tools/{name}.py")
    assert tail[2:] == [*arguments, "--launcher", "slurm", "--resume", ""]
