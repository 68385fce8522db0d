"""Scores of every class from its pixels, with rules for classes that are missed or not there."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def score_classes(
    correct: Tensor,
    union: Tensor,
    predicted: Tensor,
    labelled: Tensor,
    metrics: Sequence[str] = ("mIoU",),
    nan_to_num: int | None = None,
    beta: int = 1,
) -> dict[str, NDArray[np.float64]]:
    """Scores of every class as MMSegmentation's IoUMetric has them, but 0 in all of them for a class that is missed.

    Args:
        correct: Pixels of every class that are predicted as they are labelled, (C,), as the next three.
        union: Pixels that are labelled or predicted.
        predicted: Predicted pixels.
        labelled: Labelled pixels.
        metrics: 'mIoU', 'mDice' and 'mFscore', or some of them.
        nan_to_num: What to put in the place of NaN.
        beta: Weight of the recall in F-scores.

    Returns:
        By name, (C,) from 0 to 1, NaN for a class that is neither labelled nor predicted; 'aAcc' is one number.

    Raises:
        KeyError: There is no such metric.
    """
    correct, union, predicted, labelled = (area.double() for area in (correct, union, predicted, labelled))
    recall = correct / labelled
    found = {"aAcc": correct.sum() / labelled.sum()}
    for metric in [metrics] if isinstance(metrics, str) else metrics:
        if metric == "mIoU":
            found |= {"IoU": correct / union, "Acc": recall}
        elif metric == "mDice":
            found |= {"Dice": 2 * correct / (predicted + labelled), "Acc": recall}
        elif metric == "mFscore":
            missed = (predicted == 0) & (labelled > 0)
            found |= {
                "Fscore": (1 + beta**2) * correct / (beta**2 * labelled + predicted),
                "Precision": torch.where(missed, 0.0, correct / predicted),
                "Recall": recall,
            }
        else:
            raise KeyError(f"iou_metrics={metrics}: {metric!r} is not known; choose of mIoU, mDice and mFscore.")
    arrays = {name: values.numpy() for name, values in found.items()}
    return arrays if nan_to_num is None else {n: np.nan_to_num(v, nan=nan_to_num) for n, v in arrays.items()}
