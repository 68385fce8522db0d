"""Class maps laid over their image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

IGNORED = 255
Palette = Sequence[Sequence[int]]


def draw_overlay(
    image: NDArray[np.uint8], labels: NDArray[Any], palette: Palette, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Tint an image by class.

    Args:
        image: RGB, (H, W, 3) uint8.
        labels: Class ids, (H, W); pixels of 255 keep the image's colour.
        palette: RGB, 0 to 255, of every class.
        opacity: Share of the class colour, 0 to 1.

    Returns:
        RGB, (H, W, 3) uint8; ``image`` is left as it is.

    Raises:
        ValueError: The sizes differ, the opacity is out of range or a label has no colour.
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f"The image is {image.shape[:2]} and the labels are {labels.shape}: they must match.")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity={opacity} is not between 0 and 1.")
    painted = labels != IGNORED
    if painted.any() and (highest := labels[painted].max()) >= len(palette):
        raise ValueError(f"The labels hold id {highest}, but the palette has {len(palette)} colours.")
    colours = np.asarray(palette, np.float32)[labels[painted]]
    out = image.copy()
    out[painted] = np.rint((1 - opacity) * image[painted] + opacity * colours)
    return out


def draw_legend(figure: Figure, classes: Sequence[str], palette: Palette) -> None:
    """Add a row of class names with their colours below a figure's axes."""
    handles = [
        Patch(facecolor=(colour[0] / 255, colour[1] / 255, colour[2] / 255), edgecolor="0.5", label=name)
        for name, colour in zip(classes, palette, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(classes), 6), frameon=False)


def draw_panel(
    image: NDArray[np.uint8],
    truth: NDArray[Any] | None,
    prediction: NDArray[Any],
    classes: Sequence[str],
    palette: Palette,
    title: str = "",
) -> Figure:
    """Image, ground truth and prediction side by side, with a legend of the classes that occur.

    Args:
        image: RGB, (H, W, 3) uint8.
        truth: Class ids, (H, W); 255 is not painted. None if there are no labels.
        prediction: Class ids, (H, W).
        classes: Name of every class. The one named 'background', if any, is not painted.
        palette: RGB, 0 to 255, of every class.
        title: Line above the panel.

    Returns:
        A figure; ``.savefig(path)`` writes it.

    Raises:
        ValueError: The sizes differ or a label has no colour.
    """
    maps = {"image": np.full_like(prediction, IGNORED), "ground truth": truth, "prediction": prediction}
    shown = {name: labels for name, labels in maps.items() if labels is not None}
    figure = Figure(figsize=(3 * len(shown), 3 * image.shape[0] / image.shape[1] + 0.8), layout="constrained")
    for axes, (name, labels) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        for i, other in enumerate(classes):
            if other == "background":
                labels = np.where(labels == i, IGNORED, labels)
        axes.imshow(draw_overlay(image, labels, palette, opacity=0.65))
        axes.set_title(name)
        axes.axis("off")
    figure.suptitle(title)
    occurring = {int(i) for labels in shown.values() for i in np.unique(labels)}
    painted = [i for i, name in enumerate(classes) if name != "background" and i in occurring]
    draw_legend(figure, [classes[i] for i in painted], [palette[i] for i in painted])
    return figure
