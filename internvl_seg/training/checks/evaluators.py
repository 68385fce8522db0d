"""Evaluators that would fail, or could not be told apart, only when a whole data set has been predicted."""

import inspect
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmseg.evaluation import IoUMetric

from ..config import is_segmentation
from .contradiction import Contradiction, listed, option, type_name
from .fields import check_own_fields
from .metric_names import names_of

# What MMSegmentation computes from the areas of classes.
METRICS = ("mIoU", "mDice", "mFscore")
# Metrics of other tasks than segmentation, by what they are of.
_OTHER_TASKS = {
    "DepthMetric": "depth",
    "Accuracy": "images",
    "SingleLabelMetric": "images",
    "MultiLabelMetric": "images",
    "ImageNetAccuracy": "images",
}


def check_evaluators(config: Config, key: str, fatal: bool = True) -> Iterator[Contradiction]:
    """Find evaluators that fail when they are asked for their metrics, which is after the last image.

    Args:
        config: The config.
        key: 'val_evaluator' or 'test_evaluator'.
        fatal: Whether the run will come to it.
    """
    for found in _check(config, key):
        yield found._replace(fatal=fatal)


def _check(config: Config, key: str) -> Iterator[Contradiction]:
    names: list[tuple[str, str]] = []
    for where, node in _metrics(config, key):
        kind = type_name(node)
        if is_segmentation(config) and kind in _OTHER_TASKS:
            yield Contradiction(
                f"{where}.type",
                f"= {kind!r} is of {_OTHER_TASKS[kind]}, and the model labels pixels.",
                f"Set {option(f'{where}.type', 'SegmentationMetric')}.",
            )
            continue
        if kind in ("IoUMetric", "SegmentationMetric"):
            problems = [*_check_iou(where, node), *check_own_fields(where, node)]
            yield from problems
            if problems:
                continue
        names += [(name, where) for name in names_of(config, node, key.partition("_")[0]) or ()]
    counted = Counter(name for name, _ in names)
    twice = [name for name, count in counted.items() if count > 1]
    if twice:
        places = [place for name, place in names if name == twice[0]]
        prefix = option(f"{places[1]}.prefix", "second")
        yield Contradiction(
            key,
            f"has two that compute {twice[0]!r}, {places[0]} and {places[1]}: numbers of the same name cannot be told "
            "apart, and MMEngine refuses them after the last image.",
            f"Give one of them a prefix of its own with {prefix}, or leave it out.",
        )


def _metrics(config: Config, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The metrics of an evaluator, which may stand in ``metrics``, with their keys."""
    for where, node in listed(config, key):
        if "metrics" in node:
            yield from listed(config, f"{where}.metrics")
        else:
            yield where, node


def _check_iou(key: str, node: dict[str, Any]) -> Iterator[Contradiction]:
    metrics = node.get("iou_metrics", ["mIoU"])
    if isinstance(metrics, str) or not isinstance(metrics, (list, tuple)) or not metrics:
        meant = [_nearest(metrics)] if isinstance(metrics, str) else ["mIoU"]
        yield Contradiction(
            f"{key}.iou_metrics",
            f"= {metrics!r}: expected a list of {', '.join(METRICS)}.",
            f"Set {option(f'{key}.iou_metrics', meant)}.",
        )
    elif unknown := [metric for metric in metrics if metric not in METRICS]:
        meant = list(dict.fromkeys(metric if metric in METRICS else _nearest(metric) for metric in metrics))
        yield Contradiction(
            f"{key}.iou_metrics",
            f"= {list(metrics)!r}: there is no {unknown[0]!r}; there are {', '.join(METRICS)}.",
            f"Set {option(f'{key}.iou_metrics', meant)}.",
        )
    known = [*inspect.signature(IoUMetric.__init__).parameters, *inspect.signature(BaseMetric.__init__).parameters]
    for name in (name for name in node if name not in (*known, "type", "_scope_")):
        near = get_close_matches(name, known, 1)
        yield Contradiction(
            f"{key}.{name}",
            f"= {node[name]!r} is no field of {type_name(node)}, which leaves it unread.",
            f"Write {near[0]}." if near else "Leave it out.",
        )
    if node.get("format_only") and not node.get("output_dir"):
        yield Contradiction(
            f"{key}.format_only",
            "= True, but there is no output_dir: it would neither score nor write anything.",
            f"Set {option(f'{key}.output_dir', 'predictions')}, or {option(f'{key}.format_only', False)}.",
        )


def _nearest(metric: Any) -> str:
    lowered = {known.lower(): known for known in METRICS}
    near = get_close_matches(str(metric).lower(), lowered, 1, cutoff=0.4)
    return lowered[near[0]] if near else "mIoU"
