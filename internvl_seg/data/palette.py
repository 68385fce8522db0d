"""Colours for classes that have none."""

import matplotlib
import numpy as np


def distinct_palette(count: int) -> list[list[int]]:
    """RGB, 0 to 255, of so many classes: twenty colours that differ more than mmseg's random ones, then again.

    The first ten are of ten hues. The others are their lighter shades, which over a picture are easily taken for them.
    """
    order = np.concatenate([np.arange(0, 20, 2), np.arange(1, 20, 2)])
    colours: list[list[int]] = matplotlib.colormaps["tab20"](order[np.arange(count) % 20], bytes=True)[:, :3].tolist()
    return colours
