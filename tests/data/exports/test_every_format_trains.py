"""Every kind of export, from the tool's files to a training: docs/exports_tried.md is made of what these tests find.

``python -m pytest tests/data/exports/test_every_format_trains.py --write-exports-table`` writes the page anew; without
the option every test compares its row with the page.
"""

import json
import math
import shlex
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from internvl_seg.data.exports import commands
from internvl_seg.data.exports.formats import FORMATS
from internvl_seg.data.preflight import check_dataset
from internvl_seg.training import train
from internvl_seg.training.config import add_options, load_config

from .prepared import masks
from .tried import CASES
from .tried.case import Answer, Case

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "exports_tried.md"
HEADER = """# Exports that were tried

Each row is a small export that a test makes in the layout of its source and gives to `tools/prepare_dataset.py`
([exports.md](exports.md)). All masks that come out equal, in every pixel, what the named code draws of the same shapes.
Then the preflight looks at the folder and finds no error, and the command that was printed trains for two iterations,
with a small encoder. Made by `python -m pytest tests/data/exports/test_every_format_trains.py --write-exports-table`.

| format | what | layout of | masks equal | converted | trained |
|---|---|---|---|---|---|
"""
# An encoder that needs no weights and no time, in the place of the one that the templates name.
TINY: dict[str, Any] = {
    "model.backbone.arch._delete_": True,
    "model.backbone.arch.embed_dim": 32,
    "model.backbone.arch.depth": 1,
    "model.backbone.arch.num_heads": 2,
    "model.backbone.arch.patch_size": 28,
    "model.backbone.init_cfg": None,
    "model.backbone.out_indices": [0],
    "model.decode_head.in_channels": 32,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "val_dataloader.num_workers": 0,
    "val_dataloader.persistent_workers": False,
    "train_cfg.max_iters": 2,
    "default_hooks.logger.interval": 1,
}
# One of polygons, one of masks, one over rasters: the others take a minute.
QUICK = (("coco", "polygons"), ("cvat_masks", "Segmentation mask 1.1"), ("vectors", "GeoJSON in degrees"))


def parameter(case: Case) -> Any:
    marks = () if (case.format, case.what) in QUICK else pytest.mark.slow
    return pytest.param(case, id=f"{case.format}, {case.what}", marks=marks)


def prepared(case: Case, folder: Path) -> tuple[str, dict[str, Any]]:
    """Convert an export as the command does; gives the config and the options of the command that is printed."""
    answer = case.make(folder)
    arguments = commands.parser().parse_args([str(folder / "in"), str(folder / "out"), *answer.arguments])
    done = commands.run(arguments, Console(quiet=True))
    assert done.export.format == case.format
    assert not done.failed
    assert [label.name for label in done.ids.classes] == answer.classes
    found = {name.split("/")[1]: mask for name, mask in masks(folder / "out").items()}
    assert found.keys() == answer.masks.keys()
    for name, expected in answer.masks.items():
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    words = shlex.split(json.loads((folder / "out/report.json").read_text())["train"])
    assert words[:2] == ["python", "tools/train.py"]
    parser = ArgumentParser()
    parser.add_argument("config")
    add_options(parser)
    given = parser.parse_args(words[2:])
    return given.config, given.cfg_options


def compare_row(case: Case, answer: str, write: bool) -> None:
    row = f"| `{case.format}` | {case.what} | {case.layout} | {case.renderer} | {answer} |\n"
    lines = PAGE.read_text().splitlines(keepends=True) if PAGE.is_file() else []
    if write:
        kept = {line.split(" | ", 2)[0] + line.split(" | ", 2)[1]: line for line in lines if line.startswith("| `")}
        kept[f"| `{case.format}`{case.what}"] = row
        order = [f"| `{one.format}`{one.what}" for one in CASES]
        PAGE.write_text(HEADER + "".join(kept[key] for key in order if key in kept))
    else:
        assert row in lines, f"{PAGE.name} is old: add --write-exports-table"


@pytest.mark.parametrize("case", map(parameter, CASES))
def test_an_export_becomes_what_its_tool_draws_and_trains(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    config_file, options = prepared(case, tmp_path)
    monkeypatch.chdir(ROOT)
    report = check_dataset(load_config(config_file, options))
    assert [str(finding) for finding in report.findings if finding.severity == "error"] == []
    train(config_file, work_dir=str(tmp_path / "run"), options=options | TINY)
    (scalars,) = (tmp_path / "run").rglob("scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    assert "mIoU" in lines[-1]  # The validation, of the split that was held out.
    assert (tmp_path / "run/iter_2.pth").is_file()
    pictures = len(list((tmp_path / "out/annotations").rglob("*.png")))
    classes = options["model.decode_head.num_classes"]
    answer = f"{pictures} pictures, {classes} classes | {len(losses)} iterations"
    compare_row(case, answer, request.config.getoption("--write-exports-table"))


def test_where_all_is_for_training_the_command_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As COCO's and CVAT's exports of one subset."""
    (polygons,) = (case for case in CASES if (case.format, case.what) == QUICK[0])

    def one_split(folder: Path) -> Answer:
        answer = polygons.make(folder)
        file = folder / "in/annotations/instances.json"
        file.rename(file.with_name("instances_train2017.json"))
        return answer

    config_file, options = prepared(polygons._replace(make=one_split), tmp_path)
    assert {path.parent.name for path in (tmp_path / "out/annotations").rglob("*.png")} == {"train"}
    notes = " ".join(json.loads((tmp_path / "out/report.json").read_text())["notes"])
    assert "source's split train: nothing is left to measure on" in notes
    assert "the command trains without a validation" in notes
    monkeypatch.chdir(ROOT)
    tiny = {key: value for key, value in TINY.items() if not key.startswith("val_")}
    train(config_file, work_dir=str(tmp_path / "run"), options=options | tiny)
    assert (tmp_path / "run/iter_2.pth").is_file()


def test_every_format_has_a_row() -> None:
    assert {case.format for case in CASES} == set(FORMATS)
    assert len({(case.format, case.what) for case in CASES}) == len(CASES)
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert [tuple(row.split(" | ")[:2]) for row in rows] == [(f"| `{case.format}`", case.what) for case in CASES]
