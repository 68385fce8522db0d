"""What trainings and evaluations refuse, tell and write, from a config to its files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import ConfigError, evaluate, train
from internvl_seg.training.config import load_config

from ..error_table import DocumentedError
from .test_runner import config  # noqa: F401  (a fixture: a config with four tiny images)

CLASSES = ["background", "connective", "inflammatory", "neoplastic"]


@pytest.fixture
def checkpoint(config: Path) -> Path:  # noqa: F811
    """A checkpoint of random weights, as a training leaves it."""
    init_default_scope("mmseg")
    return save(MODELS.build(load_config(config).model).state_dict(), CLASSES)


def save(weights: Any, classes: list[str]) -> Path:
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": classes}}}, "model.pth")
    return Path("model.pth")


def log(folder: str) -> str:
    return "".join(path.read_text() for path in Path(folder).rglob("*.log"))


def test_contradictions_are_refused_before_anything_is_read(config: Path) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match="save_best = 'mDice'"):
        train(config, work_dir="run", options={"default_hooks.checkpoint.save_best": "mDice", "data_root": "elsewhere"})
    assert not Path("run").exists()


@pytest.mark.parametrize("around", [None, "Evaluator", "mmengine.evaluator.Evaluator"])
def test_of_several_evaluators_all_count_and_one_writes(
    config: Path,  # noqa: F811
    checkpoint: Path,
    around: str | None,
) -> None:
    evaluators: Any = [{"type": "IoUMetric"}, {"type": "IoUMetric", "iou_metrics": ["mDice"], "prefix": "dice"}]
    if around is not None:
        evaluators = {"type": around, "metrics": evaluators}
    found = evaluate(config, checkpoint, work_dir="run", out="labels", options={"test_evaluator": evaluators})
    assert found.keys() >= {"mIoU", "dice/mDice"}
    assert sorted(path.name for path in Path("labels").iterdir()) == [f"{i}.png" for i in range(4)]
    results = json.loads(Path("run/test_results.json").read_text())
    assert all(numbers.keys() >= {"IoU", "Acc", "Dice"} for numbers in results["per_class"].values())


def test_a_folder_that_the_config_names_is_written_to_as_well(config: Path, checkpoint: Path) -> None:  # noqa: F811
    own = {"type": "IoUMetric", "output_dir": "mine"}
    evaluate(config, checkpoint, work_dir="run", out="labels", options={"test_evaluator": own})
    for folder in ("labels", "mine"):
        assert sorted(path.name for path in Path(folder).iterdir()) == [f"{i}.png" for i in range(4)]


def test_any_default_hook_may_be_none(config: Path) -> None:  # noqa: F811
    hooks = {"default_hooks.visualization": None, "default_hooks.timer": None}
    train(config, work_dir="run", options={"train_cfg.max_iters": 1, **hooks})
    assert "IterTimerHook" not in log("run")
    assert "SegVisualizationHook" not in log("run")


def test_classes_in_another_order_are_not_scored(
    config: Path,  # noqa: F811
    checkpoint: Path,
    documented_error: DocumentedError,
) -> None:
    weights = torch.load(checkpoint)["state_dict"]
    save(weights, [CLASSES[1], CLASSES[0], *CLASSES[2:]])
    with documented_error("a checkpoint was trained on the classes in another order", ConfigError):
        evaluate(config, checkpoint, work_dir="run")
    assert not Path("run/test_results.json").exists()
    save(weights, [*CLASSES[:3], "tumour"])
    evaluate(config, checkpoint, work_dir="renamed")
    assert "'neoplastic' only in the test set, 'tumour' only in the checkpoint" in log("renamed")


def test_masks_without_a_label_that_counts(config: Path, checkpoint: Path) -> None:  # noqa: F811
    for path in Path("tiny/annotations").iterdir():
        Image.fromarray(np.full((28, 42), 255, np.uint8)).save(path)
    with pytest.raises(DatasetError, match=r"no_label(.|\n)*test\.py .*--work-dir run --allow no_label"):
        evaluate(config, checkpoint, work_dir="run")
    evaluate(config, checkpoint, work_dir="run", allow=["no_label"])
    assert "There was nothing to score" in log("run")
    constants: list[str] = []  # NaN and infinity, which are no JSON.
    results = json.loads(Path("run/test_results.json").read_text(), parse_constant=constants.append)
    assert (constants, results["metrics"]["mIoU"]) == ([], None)
