"""Curves are read from what runs log, resumed ones, too."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.visualization.curves import NoLogError, draw_curves, read_scalars
from tools import plot_curves

from ..error_table import DocumentedError


def log(folder: Path, entries: list[dict[str, float]], end: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("".join(json.dumps(entry) + "\n" for entry in entries) + end)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was killed after its third iteration and resumed from its second."""
    first = [{"loss": 3.0, "step": 1}, {"loss": 2.0, "step": 2}, {"loss": 1.5, "step": 3}]
    log(tmp_path / "run/20260101_1/vis_data", first, '{"loss": 1.2, "st')
    log(tmp_path / "run/20260101_2/vis_data", [{"loss": 1.4, "step": 3}, {"mIoU": 40.0, "step": 3}])
    return tmp_path / "run"


def test_a_resumed_run_is_one_curve(run: Path) -> None:
    assert read_scalars(run) == {"loss": {1: 3.0, 2: 2.0, 3: 1.4}, "mIoU": {3: 40.0}}


def test_the_picture_has_every_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["plot_curves.py", str(tmp_path / "out.png"), str(run)])
    plot_curves.main()
    assert np.asarray(Image.open(tmp_path / "out.png").convert("L")).std() > 5
    figure = draw_curves({"a": read_scalars(run), "b": {"loss": {1: 1.0}}})
    loss, miou = figure.axes
    assert [line.get_label() for line in loss.lines] == ["a", "b"]
    assert loss.lines[0].get_xydata().tolist() == [[1, 3.0], [2, 2.0], [3, 1.4]]
    assert miou.lines[0].get_xydata().tolist() == [[3, 40.0]]


def test_a_folder_without_a_log(tmp_path: Path, documented_error: DocumentedError) -> None:
    with documented_error("curves are asked of a folder without a log", NoLogError):
        read_scalars(tmp_path)
