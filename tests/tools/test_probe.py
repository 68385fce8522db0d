"""The command as a user types it."""

from pathlib import Path

import pytest

from ..commands import run_command
from ..probing.conftest import config  # noqa: F401  (a fixture)


@pytest.mark.usefixtures("config")
def test_a_study(tmp_path: Path) -> None:
    looked = run_command("probe.py", "config.py", "--dry-run", cwd=tmp_path)
    assert looked.returncode == 0, looked.stderr
    assert "as float32; the disk has" in looked.stdout
    assert not (tmp_path / "work_dirs").exists()
    done = run_command("probe.py", "config.py", "--cfg-options", "probe.iterations=5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "training 12 heads" in done.stdout
    assert "work_dirs/config/index.html" in done.stdout
    assert (tmp_path / "work_dirs/config/index.html").is_file()


@pytest.mark.usefixtures("config")
def test_an_error_is_one_line(tmp_path: Path) -> None:
    done = run_command("probe.py", "config.py", "--cfg-options", "probe.views=0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ConfigError: probe.views=0 must be at least 1."
