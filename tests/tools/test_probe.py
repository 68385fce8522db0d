"""The command as a user types it."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..probing.conftest import config  # noqa: F401  (a fixture)

TOOL = Path(__file__).resolve().parents[2] / "tools/probe.py"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.usefixtures("config")
def test_a_study(tmp_path: Path) -> None:
    looked = run(tmp_path, "config.py", "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert "as float32; the disk has" in looked.stdout
    assert not (tmp_path / "work_dirs").exists()
    done = run(tmp_path, "config.py", "--cfg-options", "probe.iterations=5")
    assert done.returncode == 0, done.stderr
    assert "training 12 heads" in done.stdout
    assert "work_dirs/config/index.html" in done.stdout
    assert (tmp_path / "work_dirs/config/index.html").is_file()


@pytest.mark.usefixtures("config")
def test_an_error_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "config.py", "--cfg-options", "probe.views=0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ConfigError: probe.views=0 must be at least 1."
