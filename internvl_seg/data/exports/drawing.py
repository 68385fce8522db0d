"""Shapes drawn onto a map, each as the tool that wrote it draws it.

Renderers disagree along outlines. COCO's (also CVAT's and Roboflow's) is in :mod:`.coco_polygon`; Pillow's
``ImageDraw`` is labelme's, OpenCV's ``fillPoly`` Ultralytics's and Supervisely's. Each draws on a canvas from the
picture's upper left corner that is no larger than the shape needs: an offset would move what they round.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .export import UNLABELLED, Drawn, Labels, SourceError, whole_map

# Pixels from the picture's corner that a point may lie; renderers walk along outlines, also outside of the picture.
FARTHEST = 1_000_000


class Patch(NamedTuple):
    """Pixels of an object: a part of a picture that holds all of them.

    Attributes:
        top: Row of the picture that the first row of the mask is; negative if it begins above the picture.
        left: Column that the first column of the mask is.
        mask: (H, W), which of them are the object's; may reach beyond the picture.
    """

    top: int
    left: int
    mask: NDArray[np.bool_]


class Shape(NamedTuple):
    """An object.

    Attributes:
        value: Place of its class, or :data:`~.export.IGNORED` or :data:`~.export.UNLABELLED`.
        pixels: Gives its pixels in a picture of (height, width) pixels.
    """

    value: int
    pixels: Callable[[tuple[int, int]], Patch]


def draw(size: tuple[int, int], shapes: Iterable[Shape], base: int = UNLABELLED) -> Drawn:
    """Draw shapes one after the other; the last is on top.

    Args:
        size: (height, width) of the picture.
        shapes: In the order in which they are drawn.
        base: What pixels without a shape are.

    Returns:
        The map. Pixels count as overlapped if shapes of different classes cover them; ignored ones are no class.
    """
    ids = np.full(size, base, np.uint8)
    twice = np.zeros(size, np.bool_)
    for value, pixels in shapes:
        top, left, mask = clip(pixels(size), size)
        height, width = mask.shape
        below = ids[top : top + height, left : left + width]
        if value < UNLABELLED:
            twice[top : top + height, left : left + width] |= mask & (below != value) & (below < UNLABELLED)
        below[mask] = value
    return Drawn(ids, int(np.count_nonzero(twice)))


def labels_of(
    shapes: Sequence[Shape], what: str, said: tuple[int, int] | None = None, base: int = UNLABELLED
) -> Labels:
    """Labels that are shapes on the whole picture.

    Args:
        shapes: In the order in which they are drawn.
        what: The picture as the labels name it and their file, for errors: "a.jpg of instances.json".
        said: (height, width) of the picture that was labelled, if the export says it.
        base: What pixels without a shape are.
    """

    def paint(size: tuple[int, int]) -> Drawn:
        if said is not None and said != size:
            raise SourceError(
                f"{what} was labelled with {said[0]} rows and {said[1]} columns, but the picture has {size[0]} and "
                f"{size[1]}. Put the picture that was labelled in its place, or export again with the pictures."
            )
        return draw(size, shapes, base)

    return whole_map(paint)


def clip(patch: Patch, size: tuple[int, int]) -> Patch:
    """What of a patch lies in a picture of (height, width) pixels."""
    top, left, mask = patch
    inside = mask[max(0, -top) : max(0, size[0] - top), max(0, -left) : max(0, size[1] - left)]
    return Patch(min(max(0, top), size[0]), min(max(0, left), size[1]), inside)


def points_of(values: Any, what: str) -> NDArray[np.float64]:
    """Points from a list of x and y in turn, or of pairs.

    Args:
        values: The list, as JSON gives it.
        what: The annotation, for errors: "annotation 7 of instances.json".

    Returns:
        (N, 2), x and y.

    Raises:
        SourceError: They are no pairs of numbers, or lie beyond all pictures.
    """
    try:
        points = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros((1, 1))
    if points.size == 0:
        return np.zeros((0, 2))
    if points.size % 2 or points.ndim > 2 or (points.ndim == 2 and points.shape[1] != 2):
        raise SourceError(f"The points of {what} are {str(values)[:60]!r}: pairs of x and y were expected.")
    check_reach(points, what)
    return points.reshape(-1, 2)


def check_reach(points: NDArray[np.float64], what: str) -> None:
    """Refuse points that no picture has.

    Args:
        points: In pixels.
        what: The annotation, for errors.

    Raises:
        SourceError: One is no number or infinite, or lies very far away.
    """
    far = points[~(np.abs(points) <= FARTHEST)]
    if far.size:
        raise SourceError(
            f"The points of {what} hold {far[0]:g}: pixels of a picture were expected, up to {FARTHEST} in size. "
            "Mend or delete that annotation, and export again."
        )


def pillow_polygon(points: NDArray[np.float64], size: tuple[int, int]) -> Patch:
    """A polygon, (N, 2), of three points or more, with its outline, as Pillow draws it."""
    corners = [tuple(point) for point in points.tolist()]
    return _pillow(points, size, lambda on: on.polygon(corners, outline=1, fill=1))


def pillow_box(points: NDArray[np.float64], size: tuple[int, int]) -> Patch:
    """A box from two opposite corners, (2, 2), which belong to it, as Pillow draws it."""
    corners = [*points.min(0).tolist(), *points.max(0).tolist()]
    return _pillow(points, size, lambda on: on.rectangle(corners, outline=1, fill=1))


def pillow_ellipse(points: NDArray[np.float64], size: tuple[int, int]) -> Patch:
    """An upright ellipse in a box of two opposite corners, (2, 2), as Pillow draws it."""
    corners = [*points.min(0).tolist(), *points.max(0).tolist()]
    return _pillow(points, size, lambda on: on.ellipse(corners, outline=1, fill=1))


def pillow_circle(centre: Sequence[float], rim: Sequence[float], size: tuple[int, int]) -> Patch:
    """A circle from its centre and a point of its rim, as labelme draws it with Pillow."""
    radius = math.hypot(centre[0] - rim[0], centre[1] - rim[1])
    around = np.array([[centre[0] - radius, centre[1] - radius], [centre[0] + radius, centre[1] + radius]])
    return pillow_ellipse(around, size)


def pillow_line(points: NDArray[np.float64], width: int, size: tuple[int, int]) -> Patch:
    """A line of some width through points, (N, 2), as Pillow draws it."""
    corners = [tuple(point) for point in points.tolist()]
    return _pillow(points, size, lambda on: on.line(corners, fill=1, width=width), margin=width)


def _pillow(
    points: NDArray[np.float64], size: tuple[int, int], paint: Callable[[ImageDraw.ImageDraw], None], margin: int = 0
) -> Patch:
    height, width = _canvas(points, size, margin)
    if not (height and width):
        return Patch(0, 0, np.zeros((0, 0), np.bool_))
    picture = Image.new("L", (width, height))
    paint(ImageDraw.Draw(picture))
    return trim(np.asarray(picture) > 0)


def opencv_polygon(
    exterior: NDArray[np.float64], size: tuple[int, int], holes: Sequence[NDArray[np.float64]] = ()
) -> Patch:
    """A polygon, (N, 2), with its outline, as OpenCV's ``fillPoly`` draws it; fractions are cut off.

    Args:
        exterior: The outline.
        size: (height, width) of the picture.
        holes: Outlines of holes, which are cut out with their own outlines, as Supervisely's SDK does.
    """
    height, width = _canvas(exterior, size)
    mask = np.zeros((height, width), np.uint8)
    if mask.size:
        cv2.fillPoly(mask, [exterior.astype(np.int32)], (1,))
        for hole in holes:
            cv2.fillPoly(mask, [hole.astype(np.int32)], (0,))
    return trim(mask > 0)


def opencv_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], angle: float, size: tuple[int, int]
) -> Patch:
    """A turned ellipse as CVAT draws it with OpenCV: centre and radii are rounded, halves to even.

    Args:
        centre: x and y.
        radii: Along x and y, before it is turned.
        angle: Degrees, clockwise as seen.
        size: (height, width) of the picture.
    """
    (x, y), reach = centre, max(radii)
    height, width = _canvas(np.array([[x + reach, y + reach]]), size)
    mask = np.zeros((height, width), np.uint8)
    if mask.size:
        axes = (round(radii[0]), round(radii[1]))
        cv2.ellipse(mask, (round(x), round(y)), axes, angle, 0, 360, (1,), thickness=-1)
    return trim(mask > 0)


def _canvas(points: NDArray[np.float64], size: tuple[int, int], margin: int = 0) -> tuple[int, int]:
    """(height, width) of the upper left part of a picture that shows all of some points that the picture shows."""
    right, bottom = points.max(0, initial=0).tolist()
    return min(size[0], math.ceil(bottom) + margin + 3), min(size[1], math.ceil(right) + margin + 3)


def trim(mask: NDArray[np.bool_]) -> Patch:
    """A mask of the picture's upper left part without the empty rows and columns around the object."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return Patch(0, 0, mask[:0, :0])
    top, left = int(rows[0]), int(columns[0])
    return Patch(top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1])
