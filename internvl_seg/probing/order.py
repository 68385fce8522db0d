"""In which order images are seen: a function of the seed and the position, so that nothing has to be replayed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Draw(NamedTuple):
    """An image that is seen.

    Attributes:
        image: Its index.
        epoch: How often it was seen before.
        position: Images seen before it.
    """

    image: int
    epoch: int
    position: int


def draws(seed: int, images: Sequence[int], first: int, count: int) -> list[Draw]:
    """What is seen at some positions of an endless row of shuffled epochs.

    Args:
        seed: Of the order.
        images: Indices of the images.
        first: First position.
        count: How many.
    """
    out: list[Draw] = []
    position = first
    while position < first + count:
        epoch, start = divmod(position, len(images))
        shuffled = np.random.default_rng([seed, epoch]).permutation(len(images))
        part = shuffled[start : start + first + count - position]
        out += [Draw(images[i], epoch, position + offset) for offset, i in enumerate(part.tolist())]
        position += len(part)
    return out
