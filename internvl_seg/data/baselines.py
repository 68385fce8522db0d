"""What a segmentation model has to beat: the commonest class, and colour alone."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .confusion import IGNORED, confusion_counts, iou_per_class

BINS = 32  # per colour channel; 64 are no better on training rows held out


def most_common_class(labels: Iterable[NDArray[Any]], num_classes: int) -> int:
    """The class of most pixels.

    Args:
        labels: Maps of class ids; 255 is not counted.
        num_classes: Number of classes.
    """
    counts = sum(np.bincount(label[label != IGNORED].ravel(), minlength=num_classes) for label in labels)
    return int(np.argmax(counts))


class ColourClassifier:
    """The best class for each colour, by a histogram of the training pixels: it cannot see shape or surroundings.

    Colours fall into 32x32x32 cells. A cell's class is the one with the highest share of the cell's pixels times a
    weight per class; the weights are those of the highest mIoU on the training pixels, so that rare classes are not
    given up for the sake of accuracy.

    Args:
        images: RGB images, (H, W, 3) uint8.
        labels: Their class ids, (H, W); 255 is ignored.
        num_classes: Number of classes, C.
    """

    def __init__(self, images: Iterable[NDArray[np.uint8]], labels: Iterable[NDArray[Any]], num_classes: int) -> None:
        counts = np.zeros((BINS**3, num_classes), np.int64)
        for image, label in zip(images, labels, strict=True):
            kept = label != IGNORED
            cells = _cells(image)[kept] * num_classes + label[kept]
            counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
        # One more pixel, spread as the classes are: a colour never seen then gets a guess from the class weights.
        pixels = counts + counts.sum(0) / counts.sum()
        shares = pixels / pixels.sum(1, keepdims=True)
        seen = counts.any(1)
        self.class_of_cell: NDArray[np.int64] = (shares * _best_weights(shares[seen], counts[seen])).argmax(1)

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Classify every pixel of an RGB image, (H, W, 3) uint8; gives (H, W)."""
        labels: NDArray[np.int64] = self.class_of_cell[_cells(image)]
        return labels


def _cells(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    red, green, blue = np.moveaxis(image.astype(np.int64) * BINS // 256, -1, 0)
    cells: NDArray[np.int64] = (red * BINS + green) * BINS + blue
    return cells


def _best_weights(shares: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Class weights of the highest mIoU, by changing one at a time in ever smaller steps.

    The first steps are large because a small one may move no cell to another class, and the search would end there.

    Args:
        shares: (cells, C), what share of a cell's pixels each class has.
        counts: (cells, C), pixels.
    """
    classes = np.eye(counts.shape[1], dtype=np.int64)

    def score(weights: NDArray[np.float64]) -> float:
        confusion = counts.T @ classes[(shares * weights).argmax(1)]
        return float(np.nanmean(iou_per_class(confusion)))

    weights = np.ones(counts.shape[1])
    best = score(weights)
    for step in (32.0, 8.0, 4.0, 2.0, 1.4, 1.15, 1.05):
        improved = True
        while improved:
            improved = False
            for one in classes:
                for factor in (step, 1 / step):
                    candidate = weights * factor**one
                    if (value := score(candidate)) > best:
                        weights, best, improved = candidate, value, True
    return weights


def score_baselines(
    train: list[tuple[NDArray[np.uint8], NDArray[Any]]],
    test: list[tuple[NDArray[np.uint8], NDArray[Any]]],
    num_classes: int,
) -> dict[str, NDArray[np.float64]]:
    """Fit both baselines on training images and score them on test images.

    Args:
        train: RGB images, (H, W, 3) uint8, with their class ids, (H, W); 255 is ignored.
        test: The same.
        num_classes: Number of classes, C.

    Returns:
        IoU in percent per class, (C,), under ``'most common class'`` and ``'colour alone'``.
    """
    labels = [label for _, label in train]
    common = most_common_class(labels, num_classes)
    colour = ColourClassifier([image for image, _ in train], labels, num_classes)
    counts = np.zeros((2, num_classes, num_classes), np.int64)
    for image, label in test:
        counts[0] += confusion_counts(label, np.full_like(label, common), num_classes)
        counts[1] += confusion_counts(label, colour.predict(image), num_classes)
    return {"most common class": iou_per_class(counts[0]), "colour alone": iou_per_class(counts[1])}
