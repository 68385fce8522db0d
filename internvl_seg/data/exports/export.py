"""What an export holds, whichever tool wrote it: pictures, their labels and the classes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Values of a drawn map beside the classes' places in :attr:`Export.classes`, 0 to 253.
IGNORED = 255
UNLABELLED = 254
MOST_CLASSES = 254

Unlabelled: TypeAlias = Literal["background", "ignore"]
Split: TypeAlias = Literal["train", "val", "test"]


class SourceError(RuntimeError):
    """An export cannot be read; the message says which file, what was found there, and what to do."""


class Window(NamedTuple):
    """A part of a picture, in pixels of the picture as it is to be seen."""

    top: int
    left: int
    height: int
    width: int


class Drawn(NamedTuple):
    """Labels as a map.

    Attributes:
        ids: (H, W) uint8: places of the classes, :data:`UNLABELLED` or :data:`IGNORED`.
        overlapped: Number of pixels that objects of different classes claim; the one drawn last has them.
    """

    ids: NDArray[np.uint8]
    overlapped: int = 0


# Draws the labels of a window of a picture of (height, width) pixels.
Labels: TypeAlias = Callable[[tuple[int, int], Window], Drawn]


class ClassLabel(NamedTuple):
    """A class.

    Attributes:
        name: Its name.
        colour: RGB, 0 to 255; None if the export has none.
    """

    name: str
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Annotated:
    """A picture with what an export says of it.

    Attributes:
        picture: Its file, or the bytes of one that lies inside the export.
        name: Where it is in the export, POSIX, without the suffix; two pictures of an export never share one.
        labels: Draws its labels; None if nobody has labelled it, which is not the same as labelled as empty.
        split: What the export says of it.
        group: Pictures of one group (a scene, a patient, a site) never go into different splits.
        source: The file that holds its labels, for messages.
    """

    picture: Path | bytes
    name: str
    labels: Labels | None
    split: Split | None = None
    group: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Export:
    """What a folder or file of a labelling tool holds.

    Attributes:
        format: The format's name, a member of :data:`internvl_seg.data.exports.formats.FORMATS`.
        why: What told the format: "annotations/instances.json has 'images', 'annotations' and 'categories'".
        classes: All of them, in the order of their ids in the masks that are written.
        pictures: By name, sorted.
        unlabelled: What the tool's users mean by pixels without a label.
        notes: What was found and not used, a sentence each, with counts and a first example.
    """

    format: str
    why: str
    classes: tuple[ClassLabel, ...]
    pictures: tuple[Annotated, ...]
    unlabelled: Unlabelled
    notes: tuple[str, ...] = ()


def whole_map(draw: Callable[[tuple[int, int]], Drawn]) -> Labels:
    """Labels of which the map of the whole picture is drawn and cut, once for windows that are asked for in a row.

    Args:
        draw: Draws the map of a picture of (height, width) pixels.
    """
    kept: list[tuple[tuple[int, int], Drawn]] = []

    def labels(size: tuple[int, int], window: Window) -> Drawn:
        if not kept or kept[0][0] != size:
            kept[:] = [(size, draw(size))]
        top, left, height, width = window
        ids, overlapped = kept[0][1]
        whole = (height, width) == size
        if whole or (top + height >= size[0] and left + width >= size[1]):
            kept.clear()  # The last window: thousands of pictures are not to be kept.
        return Drawn(ids[top : top + height, left : left + width], overlapped if whole or not (top or left) else 0)

    return labels
