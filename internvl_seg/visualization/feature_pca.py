"""Feature maps as colours: their three largest principal components as red, green and blue."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from torch import Tensor

# Components beyond these shares of the values take the ends of the scale: a few outliers would leave the rest grey.
_STRETCHED = (0.02, 0.98)
# Variance, as a share of the largest component's, below which a component is rounding.
_NO_VARIANCE = 1e-12
_CELL = 1.7


def _components(centred: Tensor) -> Tensor:
    """The three directions of most variance.

    Args:
        centred: (N, C) fp64 of mean 0.

    Returns:
        (C, 3), the largest first; zeros in the place of one without variance.
    """
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    values, vectors = values.flip(0)[:3], vectors.flip(1)[:, :3]
    vectors = vectors * (values > _NO_VARIANCE * values[0])
    # A direction and its opposite are equally right; the sign that is taken must not depend on the library.
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    vectors = vectors * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(vectors, (0, 3 - vectors.shape[1]))


def feature_pca(maps: Sequence[Tensor]) -> list[NDArray[np.uint8]]:
    """Colour feature maps of one block by the principal components of them all.

    The first component is red, the second green, the third blue; each is stretched so that its 2nd percentile is 0
    and its 98th 255. The largest weight of every component is positive. A component that does not vary is grey.

    Args:
        maps: (C, h, w) floats each, of any device and of sizes that may differ.

    Returns:
        (h, w, 3) uint8 each.

    Raises:
        ValueError: There is no map.
    """
    if not maps:
        raise ValueError("Principal components need at least one feature map.")
    rows = torch.cat([one.detach().to("cpu", torch.float64).flatten(1).T for one in maps])
    centred = rows - rows.mean(0)
    scores = (centred @ _components(centred)).numpy()
    low, high = np.quantile(scores, _STRETCHED, axis=0)
    span = high - low
    stretched = np.where(span > 0, (scores - low) / np.where(span > 0, span, 1), 0.5)
    colours = np.rint(255 * stretched.clip(0, 1)).astype(np.uint8)
    sizes = [one.shape[1:] for one in maps]
    parts = np.split(colours, np.cumsum([size.numel() for size in sizes])[:-1])
    return [part.reshape(*size, 3) for part, size in zip(parts, sizes, strict=True)]


def draw_feature_pca(images: Sequence[NDArray[np.uint8]], maps_by_block: Mapping[str, Sequence[Tensor]]) -> Figure:
    """Images and, beside each, its feature maps as :func:`feature_pca` colours them.

    Args:
        images: RGB, (H, W, 3) uint8.
        maps_by_block: By the block's title, a map (C, h, w) of each image, which covers the whole of it. C, h and w
            may differ between blocks.

    Returns:
        A figure, a row per image, a column for the images and one per block; ``.savefig(path)`` writes it.

    Raises:
        ValueError: There is no image, or a block has another number of maps.
    """
    if not images:
        raise ValueError("There is no image to draw features of.")
    columns = {"image": list(images)}
    for title, maps in maps_by_block.items():
        if len(maps) != len(images):
            raise ValueError(f"{title} has {len(maps)} feature maps, but there are {len(images)} images.")
        columns[title] = feature_pca(maps)
    shapes = [image.shape[:2] for image in images]
    heights = [_CELL * height / width for height, width in shapes]
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    figure = Figure(figsize=(_CELL * len(columns), sum(heights) + 0.35), layout=layout)
    grid = figure.subplots(len(images), len(columns), squeeze=False, height_ratios=heights)
    for column, (title, pictures) in enumerate(columns.items()):
        grid[0, column].set_title(title, fontsize=9)
        for row, picture in enumerate(pictures):
            height, width = shapes[row]
            # The patches of a map cover the image, so it is drawn at the image's size.
            grid[row, column].imshow(picture, extent=(0, width, height, 0), interpolation="nearest")
            grid[row, column].axis("off")
    return figure
