"""Colours for classes that have none."""

import colorsys
from itertools import combinations

from internvl_seg.data.palette import distinct_palette


def test_few_classes_have_no_two_shades_of_one_hue() -> None:
    """A light blue over a dark picture looks as a dark blue does over a light one."""
    coloured = [
        colorsys.rgb_to_hls(*(channel / 255 for channel in colour))
        for colour in distinct_palette(8)
        if len(set(colour)) > 1
    ]
    for (one, *_), (other, *_) in combinations(coloured[:5], 2):
        assert min(abs(one - other), 1 - abs(one - other)) > 0.05


def test_twenty_classes_have_twenty_colours() -> None:
    colours = [tuple(colour) for colour in distinct_palette(21)]
    assert len(set(colours)) == 20
    assert colours[20] == colours[0]
