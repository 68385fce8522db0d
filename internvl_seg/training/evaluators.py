"""A config's evaluators: what they are made into before a test, and what they leave after it."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator

from ..data.csv_cells import escape_cell
from ..data.writing import whole_file
from .config import ConfigError
from .metric import SegmentationMetric

# MMSegmentation's metric, for which the registry gives ours.
_THEIRS = ("IoUMetric", "mmseg.IoUMetric")
_OURS = "SegmentationMetric"
# What MMEngine puts around metrics, whether a config names it or not.
_AROUND = ("Evaluator", "mmengine.Evaluator", "mmengine.evaluator.Evaluator", Evaluator)


def evaluators(config: Config, key: str = "test_evaluator") -> list[dict[str, Any]]:
    """The evaluators of a config: one, a list, or those in the ``metrics`` of MMEngine's ``Evaluator``.

    Raises:
        ConfigError: It has none.
    """
    found = config.get(key)
    if not found:
        raise ConfigError(f"{config.filename}: {key} is missing: without a metric there is nothing to evaluate.")
    if isinstance(found, dict) and found.get("type") in _AROUND:
        found = found.get("metrics") or []
    return list(found) if isinstance(found, (list, tuple)) else [found]


def count_with_ours(config: Config) -> None:
    """Put our metric in the place of MMSegmentation's, so that all results are the same files."""
    for evaluator in evaluators(config):
        if evaluator.get("type") in _THEIRS:
            evaluator["type"] = _OURS


def write_labels(config: Config, folder: str, scored: bool = True) -> None:
    """Have the predicted labels written, by one evaluator; if none of them writes, by one that does nothing else.

    Args:
        config: The config.
        folder: Where to.
        scored: Whether there are masks. Without them nothing else than to write can be done.
    """
    found = evaluators(config)
    # The others may call one of theirs output_dir, but name and encode the files in their own way. A folder that the
    # config names is written to as well.
    ours = [evaluator for evaluator in found if evaluator.get("type") == _OURS and not evaluator.get("output_dir")]
    if scored and ours:
        ours[0]["output_dir"] = folder
        return
    writer = {"type": _OURS, "format_only": True, "output_dir": folder}
    config.test_evaluator = [*(found if scored else []), writer]


def write_confusion(work_dir: Path, metrics: Sequence[Any]) -> str | None:
    """Write the confusion matrix of the first metric that counted one, and give its path."""
    for metric in metrics:
        if isinstance(metric, SegmentationMetric) and metric.confusion.size:
            classes = [escape_cell(name) for name in metric.dataset_meta["classes"]]
            path = work_dir / "confusion_matrix.csv"
            rows = zip(classes, metric.confusion.tolist(), strict=True)
            with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([["label / prediction", *classes], *([name, *row] for name, row in rows)])
            return os.fspath(path)
    return None


def per_class(metrics: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """All that metrics say of each class; where two differ in a number, the later one's stands under its prefix."""
    found: dict[str, dict[str, Any]] = {}
    for metric in metrics:
        for name, numbers in getattr(metric, "per_class", {}).items():
            known = found.setdefault(name, {})
            for key, value in numbers.items():
                known[key if known.get(key, value) == value else f"{metric.prefix}/{key}"] = value
    return found
