"""Images with what they were taken for."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_COLUMNS = 4
# Told apart by colour-blind readers, too; the words say it as well.
_RIGHT, _WRONG = "#0072b2", "#d55e00"
_LONGEST = 28


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def draw_classified(images: Sequence[NDArray[np.uint8]], truth: Sequence[str], predicted: Sequence[str]) -> Figure:
    """Draw images in a grid, each above its class and the predicted one.

    Args:
        images: RGB, (H, W, 3) uint8, of any sizes; at least one.
        truth: Name of the class of each.
        predicted: Name of the predicted class of each.

    Returns:
        A figure; ``.savefig(path)`` writes it.
    """
    columns = min(len(images), _COLUMNS)
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, image, right, found in zip(grid, images, truth, predicted, strict=False):
        axes.imshow(image)
        is_right = right == found
        title = f"{_short(right)}\n✓" if is_right else f"{_short(right)}\n✗ {_short(found)}"
        axes.set_title(title, fontsize=8, color=_RIGHT if is_right else _WRONG)
    return figure
