"""mIoU with everything it was computed from."""

from typing import Any

import torch
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric
from torch import Tensor


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """MMSegmentation's IoUMetric, counting pixels exactly and keeping what every class reached.

    MMSegmentation adds up pixel counts as fp32, which is exact up to 16.8 million pixels of a class; here they are
    integers.

    Args:
        **kwargs: Arguments of mmseg's ``IoUMetric``.

    Attributes:
        per_class: After evaluation, for every class by name: ``IoU`` and ``Acc`` in percent (None for a class that
            is not there), and the number of pixels that are ``labelled``, ``predicted`` and ``correct``. Pixels that
            are ignored, such as the border around Pascal VOC's objects, are in none of them.
    """

    per_class: dict[str, dict[str, Any]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_class = {}

    @staticmethod
    def intersect_and_union(
        pred_label: Tensor, label: Tensor, num_classes: int, ignore_index: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pixels of every class, (num_classes,) int64 on the CPU: in both maps, in either, predicted, labelled.

        Args:
            pred_label: Predicted class ids, (H, W).
            label: Class ids, (H, W).
            num_classes: Number of classes.
            ignore_index: Pixels with this label are not counted.
        """
        counted = label != ignore_index
        pred_label, label = pred_label[counted], label[counted]

        def count(ids: Tensor) -> Tensor:
            return torch.bincount(ids.flatten(), minlength=num_classes)[:num_classes].cpu()

        correct, predicted, labelled = count(label[pred_label == label]), count(pred_label), count(label)
        return correct, predicted + labelled - correct, predicted, labelled

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Metrics in percent, over the classes that are there, from the counts of every image."""
        # Plain numbers: the best one goes into checkpoints, which hold nothing that needs code to be read.
        # MMSegmentation rounded them to two digits, but as fp32: 67.78 would be written as 67.77999877929688.
        metrics = {name: round(float(value), 2) for name, value in super().compute_metrics(results).items()}
        if not self.format_only:
            correct, union, predicted, labelled = (sum(counts).tolist() for counts in zip(*results, strict=True))
            self.per_class = {
                name: {
                    "IoU": 100 * correct[i] / union[i] if union[i] else None,
                    "Acc": 100 * correct[i] / labelled[i] if labelled[i] else None,
                    "labelled": labelled[i],
                    "predicted": predicted[i],
                    "correct": correct[i],
                }
                for i, name in enumerate(self.dataset_meta["classes"])
            }
        return metrics
