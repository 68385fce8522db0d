"""Predictions that are numbers, or no figure."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook

from ..common.finite import check_finite

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
                    check_finite(getattr(scores, "data", scores), f"{image}: {name}", advice(runner.model))


def advice(model: Any) -> str:
    """What to do about a model whose predictions hold NaN or infinity."""
    while hasattr(model, "module"):
        model = model.module
    if str(getattr(getattr(model, "backbone", None), "compute_dtype", "")) == "torch.float16":
        return "float16 overflows beyond 65504: set model.backbone.dtype='bfloat16', which has the range of float32."
    return "Look at the checkpoint's weights and at the values of the image."
