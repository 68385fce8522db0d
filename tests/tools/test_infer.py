"""The command as a user types it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.folder_lock import locked_folder
from tools import infer as tool

from ..commands import run_command
from ..inference.conftest import checkpoint, config, picture  # noqa: F401  (checkpoint and config are fixtures)


@pytest.mark.usefixtures("checkpoint")
def test_a_folder_with_something_broken_in_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(2):
        Image.fromarray(picture(30, 44, i)).save(tmp_path / f"in/{i}.png")
    command = ["config.py", "weights.pth", "in", "--out", "out", "--device", "cpu"]
    done = run_command("infer.py", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 files segmented: out" in done.stdout
    assert "Peak memory" in done.stdout
    first = np.asarray(Image.open(tmp_path / "out/labels/0.png"))
    assert first.shape == (30, 44)
    facts = json.loads((tmp_path / "out/run.json").read_text())
    assert len(facts["checkpoint_sha256"]) == 64
    assert "LinearHead" in facts["resolved_config"]
    assert facts["versions"]["torch"]

    (tmp_path / "in/broken.png").write_text("no picture")
    done = run_command("infer.py", *command, "--resume", cwd=tmp_path)
    assert done.returncode == 1
    assert "0 files segmented, 2 were done before: out" in done.stdout
    assert "1 could not be done:" in done.stdout
    assert "in/broken.png is no picture in a format that Pillow knows." in done.stdout
    assert "Traceback" not in done.stderr

    done = run_command("infer.py", *command, "--resume", "--tta", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ResultsError: out holds results of another run: tta was 'False'")


@pytest.mark.usefixtures("checkpoint")
def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    done = run_command("infer.py", "config.py", "weights.pth", "none/*.jpg", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("InputError: 'none/*.jpg' names no file")
    assert not (tmp_path / "segmented").exists()


@pytest.mark.usefixtures("checkpoint")
def test_two_runs_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(30, 44)).save("a.png")
    monkeypatch.setattr(sys, "argv", ["infer.py", "config.py", "weights.pth", "a.png", "--out", "out"])
    with locked_folder(Path("out"), "another run"):
        Path("out/areas.csv").write_text("of the first")
        with pytest.raises(SystemExit) as end:
            tool.main()
    assert str(end.value.code).startswith("FolderInUseError: out is in use by another run")
    assert Path("out/areas.csv").read_text() == "of the first"


@pytest.mark.usefixtures("checkpoint")
def test_an_earlier_run_and_other_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(2):
        Image.fromarray(picture(30, 44, i)).save(tmp_path / f"in/{i}.png")
    for name in ("x.heic", "q.svg", "z.npy"):
        (tmp_path / "in" / name).write_text("no picture")
    command = ["config.py", "weights.pth", "--out", "out", "--device", "cpu"]
    done = run_command("infer.py", *command, "in", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Passed over: 3 files that are no pictures or videos here (.heic 1, .npy 1, .svg 1). HEIC" in done.stdout
    assert "earlier run" not in done.stdout

    done = run_command("infer.py", *command, "in/0.png", "in/x.heic", "in/q.svg", "in/z.npy", cwd=tmp_path)
    assert done.returncode == 1
    (aside,) = tmp_path.glob("out/earlier_*")
    (line,) = (line for line in done.stdout.splitlines() if "earlier run" in line)
    assert line.startswith(f"out held the results of an earlier run; they are in out/{aside.name} now. To go on with")
    assert {path.name for path in aside.iterdir()} == {
        "areas.csv",
        "contact_sheet.jpg",
        "labels",
        "overlays",
        "run.json",
    }
    assert [path.name for path in (tmp_path / "out/labels").iterdir()] == ["0.png"]
    assert len((tmp_path / "out/areas.csv").read_text().splitlines()) == 2
    assert "1 file segmented: out" in done.stdout
    assert "3 could not be done:" in done.stdout
    assert "in/x.heic is no picture in a format that Pillow knows. HEIC and HEIF pictures are not read" in done.stdout
    assert "Passed over" not in done.stdout
