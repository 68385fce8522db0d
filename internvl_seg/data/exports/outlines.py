"""Outlines of shapes that tools store by a few numbers."""

import math

import numpy as np
from numpy.typing import NDArray


def box_outline(left: float, top: float, width: float, height: float, angle: float = 0) -> NDArray[np.float64]:
    """The corners of a box, (4, 2), turned about its upper left corner.

    Args:
        left: x of that corner.
        top: y of it.
        width: Before it is turned.
        height: Before it is turned.
        angle: Radians, clockwise as seen.
    """
    along, down = np.array([np.cos(angle), np.sin(angle)]) * width, np.array([-np.sin(angle), np.cos(angle)]) * height
    corner = np.array([left, top])
    return np.stack([corner, corner + along, corner + along + down, corner + down])


def turned_box(sides: tuple[float, float, float, float], degrees: float) -> NDArray[np.float64]:
    """The corners of a box, (4, 2), turned about its middle, as CVAT turns it.

    Args:
        sides: Left, top, right and bottom before it is turned.
        degrees: Clockwise as seen.
    """
    left, top, right, bottom = sides
    x, y = left + (right - left) / 2, top + (bottom - top) / 2
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    if not degrees:
        return np.array(corners)
    turned = [(x + cosine * (a - x) - sine * (b - y), y + sine * (a - x) + cosine * (b - y)) for a, b in corners]
    return np.array(turned)


def ellipse_outline(
    centre: tuple[float, float], radii: tuple[float, float], angle: float = 0, step: int = 5
) -> NDArray[np.float64]:
    """Points of an ellipse, (N, 2), turned about its centre.

    Args:
        centre: x and y.
        radii: Along x and y before it is turned.
        angle: Radians, clockwise as seen.
        step: Degrees from one point to the next.
    """
    turn = np.arange(0, 360, step) * (np.pi / 180)
    across, down = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    x = centre[0] + across * np.cos(angle) - down * np.sin(angle)
    y = centre[1] + across * np.sin(angle) + down * np.cos(angle)
    return np.stack([x, y], axis=1)
