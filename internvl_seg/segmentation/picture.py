"""Pictures as a segmentor reads them, and how to undo what a pipeline did to them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .resize import Taps, bilinear_taps


class Picture(NamedTuple):
    """Normalised pictures of one size, of which some rows at a time are read.

    Attributes:
        size: Height and width, in pixels.
        read: Gives the rows from a first one to a last one (not included), (N, 3, rows, W) float32.
    """

    size: tuple[int, int]
    read: Callable[[int, int], Tensor]

    @classmethod
    def of(cls, images: Tensor) -> "Picture":
        """Pictures (N, 3, H, W) that are in memory."""
        return cls((images.shape[-2], images.shape[-1]), lambda start, stop: images[:, :, start:stop])


def undo(
    meta: Mapping[str, Any], size: Sequence[int], align_corners: bool, device: torch.device | str = "cpu"
) -> tuple[Taps, Taps]:
    """Matrices that cut padding off, flip back and resize to the original size, as MMSegmentation does.

    Args:
        meta: Of a sample: ``img_padding_size`` or ``padding_size`` (left, right, top, bottom), ``flip`` with its
            ``flip_direction``, ``ori_shape``. What is missing was not done.
        size: Height and width of the image that the model saw, in pixels.
        align_corners: As in ``F.interpolate``.
        device: Where PyTorch would resize.

    Returns:
        For rows and for columns, from the image that the model saw to the original.

    Raises:
        ValueError: The direction is not known, or there is nothing but padding.
    """
    left, right, top, bottom = meta.get("img_padding_size", meta.get("padding_size", (0, 0, 0, 0)))
    direction = meta.get("flip_direction") if meta.get("flip") else ""
    if direction not in ("", "horizontal", "vertical", "diagonal"):
        raise ValueError(f"flip_direction={direction!r} is not known; use 'horizontal', 'vertical' or 'diagonal'.")
    height, width = meta.get("ori_shape", (size[0] - top - bottom, size[1] - left - right))[:2]
    sides = []
    for first, last, flips, original in (
        (top, size[0] - bottom, direction in ("vertical", "diagonal"), height),
        (left, size[1] - right, direction in ("horizontal", "diagonal"), width),
    ):
        if first >= last:
            raise ValueError(f"A padding of {(left, right, top, bottom)} leaves nothing of an image of {tuple(size)}.")
        taps = bilinear_taps(last - first, original, align_corners, device)
        sides.append(Taps(last - 1 - taps.index if flips else first + taps.index, taps.weight))
    return sides[0], sides[1]
