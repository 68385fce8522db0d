"""The names of the numbers that a validation gives, known before there is one."""

from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.evaluation import Accuracy, SingleLabelMetric
from mmseg.evaluation import IoUMetric

from ...classification.variants import VARIANTS
from ..config import walk
from .contradiction import listed, type_name

# A made-up result of one image, as MMPretrain's metrics collect them.
_ONE_IMAGE = {"pred_score": torch.zeros(1000), "gt_label": torch.zeros(1, dtype=torch.int64)}
_SINGLE_LABEL = {"Accuracy": Accuracy, "SingleLabelMetric": SingleLabelMetric}


def metric_names(config: Config) -> list[str] | None:
    """The metrics that ``val_evaluator`` computes, in order; None if one of its types is not known here."""
    names: list[str] = []
    for _, node in listed(config, "val_evaluator"):
        if type_name(node) == "Evaluator":
            return None
        found = names_of(config, node, "val")
        if found is None:
            return None
        names += found
    return names


def names_of(config: Config, node: dict[str, Any], loop: str) -> list[str] | None:
    """The metrics that one evaluator computes, with its prefix; None if its type is not known here.

    Args:
        config: The config.
        node: The evaluator.
        loop: 'val' or 'test', of which it is.
    """
    found = _without_prefix(config, node, loop)
    prefix = node.get("prefix") or getattr(_SINGLE_LABEL.get(type_name(node)), "default_prefix", None)
    return [f"{prefix}/{name}" if prefix else name for name in found] if found is not None else None


def _without_prefix(config: Config, node: dict[str, Any], loop: str) -> list[str] | None:
    kind = type_name(node)
    if kind in ("IoUMetric", "SegmentationMetric"):
        if node.get("format_only"):
            return []
        metrics = node.get("iou_metrics", ["mIoU"])
        one = torch.ones(1)
        # Asked of MMSegmentation itself, with the areas of one class.
        of_classes = IoUMetric.total_area_to_metrics(one, one, one, one, metrics)
        return [name if name == "aAcc" else f"m{name}" for name in of_classes]
    if kind == "ImageNetAccuracy":
        dataset = config[f"{loop}_dataloader"].dataset.to_dict()
        variants = {n["variant"] for _, n in walk(dataset) if n.get("variant")} or {"imagenet"}
        real = ["imagenet_real"] if node.get("real_labels") is not None and "imagenet" in variants else []
        shown = [variant for variant in VARIANTS if variant in variants] + real
        return [f"{variant}/top{k}" for variant in shown for k in (1, 5)]
    if kind in _SINGLE_LABEL:
        fields = {name: value for name, value in node.items() if name in ("topk", "thrs", "items", "average")}
        try:
            return list(_SINGLE_LABEL[kind](**fields).compute_metrics([_ONE_IMAGE]))
        except (AssertionError, TypeError, ValueError, RuntimeError):
            return None  # What cannot be built is told with its key when it is.
    return None
