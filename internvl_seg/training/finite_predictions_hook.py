"""Predictions that are numbers, or no figure."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook

from ..common.finite import check_finite
from ..segmentation.backbone import non_finite_advice

# Of MMPretrain's samples, and of MMSegmentation's own segmentors; our segmentor looks before it makes labels.
_SCORES = ("pred_score", "seg_logits")


class FinitePredictionsHook(Hook):
    """Stop a validation or test at the first image whose scores hold NaN or infinity.

    Raises:
        NonFiniteError: There is one; the message names it.
    """

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Look at a batch of the validation."""
        self._look(runner, outputs)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Look at a batch of the test."""
        self._look(runner, outputs)

    def _look(self, runner: Any, outputs: Sequence[Any] | None) -> None:
        for sample in outputs or ():
            for name in _SCORES:
                if (scores := sample.get(name)) is not None:
                    image = sample.get("img_path", "An image")
                    check_finite(getattr(scores, "data", scores), f"{image}: {name}", non_finite_advice(runner.model))
