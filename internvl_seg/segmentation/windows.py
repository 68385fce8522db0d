"""Where sliding windows lie, as MMSegmentation places them, and how their logits add up to an image's."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import torch

from .resize import Taps, bilinear_taps


def window_starts(size: int, crop: int, stride: int) -> list[int]:
    """First pixel of every window along one side, in ascending order; no two are the same.

    Args:
        size: Length of the image's side, in pixels.
        crop: Length of the window's; an image that is shorter has one window, of its own length.
        stride: Pixels from one window to the next; the last one is moved back to end with the image.
    """
    count = max(size - crop + stride - 1, 0) // stride + 1
    return [max(min(i * stride + crop, size) - crop, 0) for i in range(count)]


def padded_size(size: Sequence[int], patch: int, min_grid: int = 1) -> list[int]:
    """Height and width to which a window is padded, at the right and below, for an encoder of some patch size.

    Args:
        size: Height and width of the window, in pixels.
        patch: Side of a patch, in pixels.
        min_grid: Patches down and across that are needed at least.
    """
    return [max(ceil(side / patch), min_grid) * patch for side in size]


class Side(NamedTuple):
    """One side of an image, cut into windows.

    Attributes:
        size: Length of the side, in pixels.
        window: Length of every window, in pixels.
        starts: First pixel of every window.
    """

    size: int
    window: int
    starts: list[int]

    @classmethod
    def cut(cls, size: int, crop: int, stride: int) -> "Side":
        """Cut a side into windows as :func:`window_starts` says."""
        return cls(size, min(crop, size), window_starts(size, crop, stride))

    def taps(self, low: int, padded: int, align_corners: bool, device: torch.device | str = "cpu") -> Taps:
        """The side's logits out of those of its windows, side by side: upsampled, added, divided by how many overlap.

        Args:
            low: Logits of a window along this side.
            padded: Pixels that they stand for: ``window``, or more if the window was padded at its end.
            align_corners: As in ``F.interpolate``.
            device: Where PyTorch would resize.

        Returns:
            Taps (size, 3 * the highest number of windows over a pixel) into ``len(starts) * low`` inputs.
        """
        up = bilinear_taps(low, padded, align_corners, device)
        pixel, starts = torch.arange(self.size), torch.tensor(self.starts)
        first = torch.searchsorted(starts + self.window, pixel, right=True)
        last = torch.searchsorted(starts, pixel, right=True) - 1
        count = last - first + 1
        over = first[:, None] + torch.arange(int(count.max()))
        there = over <= last[:, None]
        over = over.clamp(max=len(starts) - 1)
        # A window that is not there gets no weight, whatever its pixel would be.
        inside = (pixel[:, None] - starts[over]).clamp(0, self.window - 1)
        index = over[..., None] * low + up.index[inside]
        weight = up.weight[inside] * (there / count[:, None])[..., None]
        return Taps(index.flatten(1), weight.flatten(1))
