"""Intersection over union from integer counts, as mmseg's IoUMetric defines it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORED = 255


def confusion_counts(truth: NDArray[Any], prediction: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Count pixels by true and by predicted class.

    Args:
        truth: Class ids of any integer dtype and shape; pixels of 255 are not counted.
        prediction: Class ids, same shape.
        num_classes: Number of classes, C.

    Returns:
        (C, C): pixels of true class i predicted as class j. Counts of several images may be added.

    Raises:
        ValueError: The shapes differ, or an id is not below C.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"The labels are {truth.shape} and the prediction is {prediction.shape}: they must match.")
    counted = truth != IGNORED
    i, j = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    for what, ids in (("labels", i), ("prediction", j)):
        if ids.size and (highest := ids.max()) >= num_classes:
            raise ValueError(f"The {what} hold id {highest}, but there are {num_classes} classes, counted from 0.")
    return np.bincount(i * num_classes + j, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou_per_class(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union, in percent, of every class.

    Args:
        counts: (C, C) from :func:`confusion_counts`.

    Returns:
        (C,), NaN for a class that is neither in the labels nor predicted. The mIoU is its ``np.nanmean``.
    """
    intersection = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - intersection
    with np.errstate(invalid="ignore"):
        iou: NDArray[np.float64] = 100.0 * intersection / union
    return iou
