"""Polygons as COCO's own rasteriser draws them, pixel by pixel.

It is ``rleFrPoly`` of ``maskApi.c`` (https://github.com/cocodataset/cocoapi, common/maskApi.c): outlines are walked
on a grid five times as fine, and a column of pixels changes between outside and inside where one crosses the middle
of the column. pycocotools itself is no requirement: with it, ``mmpretrain.models`` does not import.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .drawing import Patch, clip

_FINER = 5
# Points of outlines on the fine grid that are in memory at a time, unless a single edge has more.
_POINTS = 1 << 20


def coco_polygon(parts: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> Patch:
    """A polygon of one or more parts, which together are the object; parts of a part that overlap are outside.

    Args:
        parts: Outlines, (N, 2) each, x and y.
        size: (height, width) of the picture.

    Returns:
        What pycocotools' ``decode(merge(frPyObjects(parts, height, width)))`` gives, but for polygons of two points,
        which it takes for boxes.
    """
    patches = [patch for patch in (_part(part, *size) for part in parts if len(part)) if patch.mask.size]
    if len(patches) == 1:
        return patches[0]
    if not patches:
        return Patch(0, 0, np.zeros((0, 0), np.bool_))
    top, left = min(patch.top for patch in patches), min(patch.left for patch in patches)
    bottom = max(patch.top + patch.mask.shape[0] for patch in patches)
    right = max(patch.left + patch.mask.shape[1] for patch in patches)
    mask = np.zeros((bottom - top, right - left), np.bool_)
    for patch in patches:
        at, beside, inside = clip(Patch(patch.top - top, patch.left - left, patch.mask), mask.shape)
        mask[at : at + inside.shape[0], beside : beside + inside.shape[1]] |= inside
    return Patch(top, left, mask)


def _part(points: NDArray[np.float64], height: int, width: int) -> Patch:
    """One part. A column has an even number of crossings, as an outline is closed, so that each stands for itself."""
    found = [_crossings(x, y, height, width) for x, y in _outline(points)]
    columns, rows = (np.concatenate(values) for values in zip(*found, strict=True))
    if not columns.size:
        return Patch(0, 0, np.zeros((0, 0), np.bool_))
    left, top = int(columns.min()), int(rows.min())
    changes = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), np.bool_)
    np.logical_xor.at(changes, (rows - top, columns - left), True)
    return Patch(top, left, np.logical_xor.accumulate(changes, axis=0)[:-1])


def _outline(points: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Points close together on the fine grid, as x and y; each piece begins with the last point of the one before."""
    corners = np.trunc(_FINER * points + 0.5).astype(np.int64)
    corners = np.concatenate([corners, corners[:1]])
    steps = np.abs(np.diff(corners, axis=0)).max(1) + 1
    pieces = np.cumsum(steps) // _POINTS
    last: NDArray[np.int64] = np.zeros((2, 0), np.int64)
    for piece in np.unique(pieces):
        edges = np.flatnonzero(pieces == piece)
        x, y = _edges(corners[edges], corners[edges + 1], steps[edges])
        x, y = np.concatenate([last[0], x]), np.concatenate([last[1], y])
        last = np.stack([x[-1:], y[-1:]])
        yield x, y


def _edges(
    starts: NDArray[np.int64], ends: NDArray[np.int64], steps: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All points of edges, one after the other; each is computed from the end with the lower coordinate."""
    distance = np.abs(ends - starts)
    flat = distance[:, 0] >= distance[:, 1]
    along = np.where(flat, 0, 1)
    row = np.arange(len(starts))
    flipped = starts[row, along] > ends[row, along]
    first, other = np.where(flipped[:, None], ends, starts), np.where(flipped[:, None], starts, ends)
    length = distance[row, along]
    slope = (other - first)[row, 1 - along] / np.maximum(length, 1)
    edge = np.repeat(row, steps)
    step = np.arange(edge.size) - np.repeat(np.cumsum(steps) - steps, steps)
    step = np.where(flipped[edge], length[edge] - step, step)
    far = first[row, along][edge] + step
    near = np.trunc(first[row, 1 - along][edge] + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(flat[edge], far, near), np.where(flat[edge], near, far)


def _crossings(
    x: NDArray[np.int64], y: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns whose middle an outline crosses, and the rows from which on the pixels change there."""
    at = np.flatnonzero(np.diff(x))
    column = np.minimum(x[at], x[at + 1])
    # (column + .5) / 5 - .5 is a whole number of a column of the picture.
    kept = (column % _FINER == _FINER // 2) & (column >= 0) & (column // _FINER < width)
    at, column = at[kept], column[kept] // _FINER
    row = np.ceil(np.clip((np.minimum(y[at], y[at + 1]) + 0.5) / _FINER - 0.5, 0, height)).astype(np.int64)
    return column, row
