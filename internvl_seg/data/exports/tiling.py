"""Pictures cut into tiles at their own resolution."""

import itertools

from .export import Window


def positions(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side, so that they cover it and the last ends where it ends.

    Args:
        side: Of the picture, in pixels.
        tile: Of a tile.
        overlap: Of neighbours; the last two overlap by more where the side is no multiple.
    """
    if side <= tile:
        return [0]
    return [*range(0, side - tile, tile - overlap), side - tile]


def cut(area: Window, tile: int, overlap: int) -> list[Window]:
    """Square tiles that cover an area, row by row; along a side that is shorter than a tile there is one as short.

    Args:
        area: A picture, or a part of it.
        tile: Side of a tile, in pixels.
        overlap: How many pixels neighbours share, fewer than ``tile``.
    """
    height, width = min(tile, area.height), min(tile, area.width)
    return [
        Window(area.top + top, area.left + left, height, width)
        for top in positions(area.height, tile, overlap)
        for left in positions(area.width, tile, overlap)
    ]


def blocks(size: tuple[int, int], side: int) -> list[Window]:
    """Areas of a picture that share no pixel and are at least so many pixels long, unless the picture is shorter.

    Args:
        size: (height, width) of the picture.
        side: The shortest side of a block.
    """
    rows, columns = ([i * length // n for i in range(n + 1)] for length in size for n in [max(length // side, 1)])
    return [
        Window(top, left, bottom - top, right - left)
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    ]
