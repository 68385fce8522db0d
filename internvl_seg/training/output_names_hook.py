"""The names under which predictions are written."""

from typing import Any

from mmengine.hooks import Hook

from ..data.names import names_of_images
from .metric import SegmentationMetric


class OutputNamesHook(Hook):
    """Tells every metric that writes predictions how to name them, since it sees images one by one only."""

    def before_val_epoch(self, runner: Any) -> None:
        """Name the validation images."""
        self._name(runner.val_dataloader.dataset, runner.val_evaluator)

    def before_test_epoch(self, runner: Any) -> None:
        """Name the test images."""
        self._name(runner.test_dataloader.dataset, runner.test_evaluator)

    def _name(self, dataset: Any, evaluator: Any) -> None:
        for metric in evaluator.metrics:
            if isinstance(metric, SegmentationMetric) and metric.output_dir is not None and not metric.output_names:
                metric.output_names = names_of_images(dataset)
