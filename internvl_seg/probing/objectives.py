"""The loss of a task, at every step from other pixels."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from .heads import Objective
from .loss import CrossEntropy, Grid, cross_entropy, resized_cross_entropy

_grid = lru_cache(maxsize=256)(Grid)


class Objectives:
    """Gives the loss of a step.

    Args:
        loss: The loss.
        stride: Every how many-th pixel is compared, down and across.
        dense: Whether labels are maps.
        align_corners: As in ``F.interpolate``.
    """

    def __init__(self, loss: CrossEntropy, stride: int, dense: bool, align_corners: bool = False) -> None:
        self.loss = loss
        self._stride = stride
        self._dense = dense
        self._align_corners = align_corners

    @classmethod
    def of_head(cls, decode_head: Mapping[str, Any], stride: int) -> "Objectives":
        """That of a segmentor's head, from its config.

        Raises:
            ValueError: It trains with another loss than cross entropy.
        """
        align_corners = bool(decode_head.get("align_corners", False))
        return cls(CrossEntropy.read(decode_head), stride, dense=True, align_corners=align_corners)

    def at(self, seed: int, step: int) -> Objective:
        """The loss at a step: of pixels from a random one on."""
        down, across = np.random.default_rng([seed, step]).integers(self._stride, size=2).tolist()
        return self._from(down, across)

    def fixed(self) -> Objective:
        """A loss that is the same whenever it is asked for."""
        return self._from(self._stride // 2, self._stride // 2)

    def count(self, labels: Tensor, num_classes: int) -> float:
        """What the :meth:`fixed` loss of a batch counts in the mean over several."""
        start = self._stride // 2
        compared = labels[..., start :: self._stride, start :: self._stride] if self._dense else labels
        return self.loss.pixel_weights(compared, num_classes)[2]

    def _from(self, down: int, across: int) -> Objective:
        def dense(logits: Tensor, labels: Tensor) -> Tensor:
            low, high = (logits.shape[-2], logits.shape[-1]), (labels.shape[-2], labels.shape[-1])
            grid = _grid(low, high, self._stride, (down, across), self._align_corners)
            return resized_cross_entropy(logits, labels, grid, self.loss)

        def plain(logits: Tensor, labels: Tensor) -> Tensor:
            return cross_entropy(logits.flatten(2), labels, self.loss)

        return dense if self._dense else plain
