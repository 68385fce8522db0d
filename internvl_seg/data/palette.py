"""Colours for classes that have none."""

import matplotlib
import numpy as np


def distinct_palette(count: int) -> list[list[int]]:
    """RGB, 0 to 255, of so many classes: twenty colours that differ more than mmseg's random ones, then again."""
    colours: list[list[int]] = matplotlib.colormaps["tab20"](np.arange(count) % 20, bytes=True)[:, :3].tolist()
    return colours
