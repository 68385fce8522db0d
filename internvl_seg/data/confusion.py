"""Pixels counted by label and by prediction, in whole numbers, and the intersection over union of the counts."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = 255
# OpenCV gives a histogram as fp32, which holds every whole number up to here.
_EXACT_IN_FP32 = 2**24
# Divides the number above.
_APART = 4


def confusion_counts(truth: NDArray[Any], prediction: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    """Count pixels by true and by predicted class.

    Args:
        truth: Class ids of any integer dtype and shape; pixels of 255 are not counted.
        prediction: Class ids, same shape.
        num_classes: Number of classes, C.

    Returns:
        (C, C): pixels of true class i predicted as class j. Counts of several images may be added.

    Raises:
        ValueError: The shapes differ, or an id is not one of the C classes.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"The labels are {truth.shape} and the prediction is {prediction.shape}: they must match.")
    counts = pair_counts(truth, prediction, num_classes, IGNORED)
    for what, ids, others in (("labels", truth, counts[-1]), ("prediction", prediction, counts[:, -1])):
        if others.any():
            counted = ids[truth != IGNORED]
            worst = counted[(counted < 0) | (counted >= num_classes)].max()
            raise ValueError(f"The {what} hold id {worst}, but there are {num_classes} classes, counted from 0.")
    return counts[:-1, :-1]


def pair_counts(label: NDArray[Any], prediction: NDArray[Any], num_classes: int, ignored: int) -> NDArray[np.int64]:
    """Count pixels by label and by prediction, with a place for ids that are no class.

    Args:
        label: Ids of any shape and dtype.
        prediction: Ids, same shape, any dtype.
        num_classes: Number of classes, C.
        ignored: Pixels with this label are not counted.

    Returns:
        (C + 1, C + 1): pixels of label i predicted as j; the last row and column are for ids below 0 or from C on.
    """
    rows, columns = _as_bytes(label), _as_bytes(prediction)
    if rows is not None and columns is not None:
        return _count_bytes(rows, columns, num_classes, ignored)
    other = np.uint64(num_classes)
    # As unsigned numbers those below 0 are huge, and one comparison sends all that is no class to the last place.
    key = np.minimum(_unsigned(label), other)
    np.putmask(key, label == ignored, other + np.uint64(1))
    key *= other + np.uint64(1)
    key += np.minimum(_unsigned(prediction), other)
    size = num_classes + 1
    counts = np.bincount(key.view(np.int64).ravel(), minlength=size * (size + 1))
    return counts[: size * size].reshape(size, size)


def pair_counts_of_tensors(label: Tensor, prediction: Tensor, num_classes: int, ignored: int) -> Tensor:
    """What :func:`pair_counts` counts, on the device where the prediction is.

    Args:
        label: Ids of any shape and dtype.
        prediction: Ids, same shape, any dtype.
        num_classes: Number of classes, C.
        ignored: Pixels with this label are not counted.

    Returns:
        (C + 1, C + 1) int64.
    """
    if prediction.device.type == "cpu":
        arrays = (_as_array(label), _as_array(prediction))
        return torch.from_numpy(pair_counts(*arrays, num_classes, ignored))
    return count_on_device(label.to(prediction.device), prediction, num_classes, ignored)


def count_on_device(label: Tensor, prediction: Tensor, num_classes: int, ignored: int) -> Tensor:
    """What :func:`pair_counts` counts, in PyTorch's operations: for accelerators, and several times slower on a CPU.

    Args:
        label: Ids of any shape and dtype.
        prediction: Ids, same shape, any dtype, on the same device.
        num_classes: Number of classes, C.
        ignored: Pixels with this label are not counted.

    Returns:
        (C + 1, C + 1) int64, on the same device.
    """
    label, prediction = label.to(torch.int64), prediction.to(torch.int64)
    size = num_classes + 1
    rows = torch.where((label >= 0) & (label < num_classes), label, num_classes)
    rows = rows.masked_fill(label == ignored, size)
    columns = torch.where((prediction >= 0) & (prediction < num_classes), prediction, num_classes)
    counts = torch.bincount((rows * size + columns).flatten(), minlength=size * (size + 1))
    return counts[: size * size].view(size, size)


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


def _as_array(ids: Tensor) -> NDArray[Any]:
    """The same ids; NumPy has no bf16."""
    array: NDArray[Any] = (ids.to(torch.int64) if ids.is_floating_point() else ids).cpu().numpy()
    return array


def _unsigned(ids: NDArray[Any]) -> NDArray[np.uint64]:
    return ids.astype(np.int64, copy=False).view(np.uint64)


def _as_bytes(ids: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The ids as bytes in a row, (N,), or None if one of them is below 0 or above 255."""
    if ids.dtype not in (np.uint8, np.bool_):
        ids = _unsigned(ids)
        if ids.max(initial=0) > 255:
            return None
    return ids.astype(np.uint8, copy=False).reshape(-1)


def _count_bytes(
    rows: NDArray[np.uint8], columns: NDArray[np.uint8], num_classes: int, ignored: int
) -> NDArray[np.int64]:
    """What :func:`pair_counts` counts, of two rows of bytes, (N,)."""
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for start in range(0, rows.size, _EXACT_IN_FP32):
        strip = slice(start, start + _EXACT_IN_FP32)
        counts += _fold(_histogram(rows[strip], columns[strip]), num_classes, ignored)
    return counts


def _histogram(rows: NDArray[np.uint8], columns: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(256, 256): how often each pair of bytes occurs in two rows of them, (N,), of up to 2^24."""
    whole = rows.size - rows.size % _APART
    counts = np.zeros((256, 256), np.float32)
    if whole:
        pairs = [_apart(rows[:whole]), _apart(columns[:whole])]
        counts = np.asarray(cv2.calcHist(pairs, [0, 1], None, [256, 256], [0, 256, 0, 256]))
    np.add.at(counts, (rows[whole:], columns[whole:]), 1)
    return counts


def _apart(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes, (1, N), with neighbours taken apart: in a region each count would wait for the one before."""
    return np.asarray(cv2.merge(list(ids.reshape(_APART, -1)))).reshape(1, -1)


def _fold(counts: NDArray[np.float32], num_classes: int, ignored: int) -> NDArray[np.int64]:
    """Counts of bytes as (C + 1, C + 1), without the ignored label."""
    if 0 <= ignored < len(counts):
        counts[ignored] = 0
    folded = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    there = min(num_classes, len(counts))
    folded[:there, :there] = counts[:there, :there]
    # In fp64 every sum of them is a whole number.
    folded[-1, :there] = counts[there:, :there].sum(axis=0, dtype=np.float64)
    folded[:there, -1] = counts[:there, there:].sum(axis=1, dtype=np.float64)
    folded[-1, -1] = counts[there:, there:].sum(dtype=np.float64)
    return folded
