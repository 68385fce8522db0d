"""Class maps laid over their image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

IGNORED = 255
Palette = Sequence[Sequence[int]]


def draw_overlay(
    image: NDArray[np.uint8], labels: NDArray[Any], palette: Palette, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Tint an image by class.

    Args:
        image: RGB, (H, W, 3) uint8.
        labels: Class ids, (H, W); pixels below 0, or of 255 unless that is a class, keep the image's colour.
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
    painted = (labels >= 0) & ((labels != IGNORED) | (len(palette) > IGNORED))
    if painted.any() and (highest := labels[painted].max()) >= len(palette):
        raise ValueError(f"The labels hold id {highest}, but the palette has {len(palette)} colours.")
    colours = np.asarray(palette, np.float32)[labels[painted]]
    out = image.copy()
    out[painted] = np.rint((1 - opacity) * image[painted] + opacity * colours)
    return out


def _without_background(labels: NDArray[Any], classes: Sequence[str]) -> NDArray[Any]:
    """The labels with -1 instead of the id of the class named 'background'."""
    if "background" not in classes:
        return labels
    return np.where(labels == classes.index("background"), np.int64(-1), labels.astype(np.int64))


def _patches(names: Sequence[str], palette: Palette) -> list[Patch]:
    return [
        Patch(facecolor=(colour[0] / 255, colour[1] / 255, colour[2] / 255), edgecolor="0.5", label=name)
        for name, colour in zip(names, palette, strict=True)
    ]


def draw_legend(figure: Figure, classes: Sequence[str], palette: Palette) -> None:
    """Add rows of class names with their colours below a figure's axes."""
    handles = _patches(classes, palette)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(min(len(classes), 6), 1), frameon=False)


def draw_labelled(
    image: NDArray[np.uint8],
    labels: NDArray[Any],
    classes: Sequence[str],
    palette: Palette,
    shares: Mapping[str, float],
    max_side: int = 2048,
) -> Figure:
    """An image tinted by class, with a legend of the classes that occur and their share of it.

    Args:
        image: RGB, (H, W, 3) uint8.
        labels: Class ids, (H, W); 255 is not painted.
        classes: Name of every class. The one named 'background', if any, is not painted.
        palette: RGB, 0 to 255, of every class.
        shares: Share of the image, 0 to 1, by class.
        max_side: Longer side of the drawn image at most, in pixels; a larger one is drawn smaller.

    Returns:
        A figure, a pixel of the image to a pixel of the figure; ``.savefig(path)`` writes it.

    Raises:
        ValueError: The sizes differ or a label has no colour.
    """
    if (longest := max(labels.shape)) > max_side:
        rows, columns = (np.arange(max(side * max_side // longest, 1)) * longest // max_side for side in labels.shape)
        size = len(columns), len(rows)
        image, labels = np.asarray(Image.fromarray(image).resize(size)), labels[rows][:, columns]
    height, width = labels.shape[0] / 100, max(labels.shape[1] / 100, 3)
    shown = sorted((i for i, name in enumerate(classes) if shares[name] > 0), key=lambda i: -shares[classes[i]])
    names = [f"{classes[i]} {100 * shares[classes[i]]:.1f} %" for i in shown]
    # About 15 letters of 8 points to an inch, and 7 for a patch of colour and the space around it.
    zoom = max(width / 10, 1)
    in_a_row = int(width / zoom * 15 / (max(map(len, names), default=1) + 7))
    in_a_row = max(1, min(len(shown), in_a_row))
    legend = zoom * (0.18 * -(-len(shown) // in_a_row) + 0.12)
    figure = Figure(figsize=(width, height + legend), dpi=100)
    axes = figure.add_axes((0, legend / (height + legend), 1, height / (height + legend)))
    axes.imshow(draw_overlay(image, _without_background(labels, classes), palette))
    axes.axis("off")
    handles = _patches(names, [palette[i] for i in shown])
    figure.legend(
        handles=handles, loc="lower center", ncols=in_a_row, frameon=False, fontsize=8 * zoom, borderaxespad=0
    )
    return figure


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
    maps = {"image": np.full(prediction.shape, -1), "ground truth": truth, "prediction": prediction}
    shown = {name: labels for name, labels in maps.items() if labels is not None}
    figure = Figure(figsize=(3 * len(shown), 3 * image.shape[0] / image.shape[1] + 0.8), layout="constrained")
    for axes, (name, labels) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        axes.imshow(draw_overlay(image, _without_background(labels, classes), palette, opacity=0.65))
        axes.set_title(name)
        axes.axis("off")
    figure.suptitle(title)
    occurring = {int(i) for labels in shown.values() for i in np.unique(labels)}
    painted = [i for i, name in enumerate(classes) if name != "background" and i in occurring]
    draw_legend(figure, [classes[i] for i in painted], [palette[i] for i in painted])
    return figure
