"""The command as a user types it."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from ..commands import run_command
from ..planning.conftest import config  # noqa: F401  (a fixture)

TOOL = Path(__file__).resolve().parents[2] / "tools/plan_memory.py"


def test_tables_and_a_file(config: Path, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "plan.json"
    arguments = [str(config), "--devices", "2", "--device-memory", "4", "--json", str(file)]
    done = run_command("plan_memory.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert "sharded, with_cp=True" in done.stdout
    assert "Fits 2 x 4 GB as it is" in done.stdout
    plan = json.loads(file.read_text())
    assert [setting["sharded"] for setting in plan["settings"]] == [False, False, True, True]
    assert plan["settings"][0]["needed"] < plan["device_memory"] == 4 * 10**9
    assert plan["verdict"] in " ".join(done.stdout.split())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """What the command exits with."""
    monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    return ended.value.code


def test_what_does_not_fit(
    config: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        run(monkeypatch, str(config), "--device-memory", "0.1", "--cfg-options", "train_dataloader.batch_size=2") == 1
    )
    assert "Does not fit 1 x 0.1 GB: replicated, with_cp=True lacks" in capsys.readouterr().out


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told = str(run(monkeypatch, "configs/nothing.py", "--device-memory", "24"))
    assert told.startswith("ConfigError: There is no config 'configs/nothing.py'")
