"""What an export is made of, and what is to come of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..formats.answers import ANSWERS, pixels
from ..making import GOLDEN

Mask = NDArray[np.bool_]
Ids = NDArray[np.uint8]
# Of the pictures that the tools' own code has drawn shapes on.
GOLDEN_SIZE = (20, 30)
_TOOLS_MASKS: dict[str, Any] = json.loads((GOLDEN / "coco.json").read_text())


class Answer(NamedTuple):
    """What is to come of an export.

    Attributes:
        masks: Ids that are to be written, by the name of the picture's file without its suffix.
        classes: All of them, in the order of their ids.
        arguments: Of the command, beside the export and the folder.
    """

    masks: dict[str, Ids]
    classes: list[str]
    arguments: tuple[str, ...] = ()


class Case(NamedTuple):
    """A kind of export.

    Attributes:
        format: Of ``internvl_seg.data.exports.formats.FORMATS``.
        what: Which of its kinds.
        layout: Where the layout of the files is from.
        renderer: What has drawn the masks that are expected.
        make: Writes it into a folder ``in`` of a folder that is given.
    """

    format: str
    what: str
    layout: str
    renderer: str
    make: Callable[[Path], Answer]


def noise(path: Path, seed: int, size: tuple[int, int] = GOLDEN_SIZE) -> Path:
    """A picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


def layers(*masks: Mask) -> Ids:
    """Background 0, and the masks as 1, 2 and so on, the last on top."""
    ids = np.zeros(masks[0].shape, np.uint8)
    for value, mask in enumerate(masks, 1):
        ids[mask] = value
    return ids


def answers_in_pairs(tool: str, pictures: int = 5) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], Ids]]:
    """Names of pictures, two shapes on each, and the map of both as the tool's own code draws them."""
    seen = [answer for answer in ANSWERS[tool] if 10 < pixels(answer["rows"]).sum() < 400]
    for i in range(pictures):
        first, second = seen[i % len(seen)], seen[(i + 1 + i // len(seen)) % len(seen)]
        yield f"p{i}", first, second, layers(pixels(first["rows"]), pixels(second["rows"]))


def coco_polygons(pictures: int = 6, rings: int | None = None) -> Iterator[tuple[str, tuple[int, int], Any, Mask]]:
    """Names of pictures, their sizes, a polygon on each and the mask that pycocotools draws of it.

    Args:
        pictures: How many.
        rings: How many parts a polygon has; any number if None.
    """
    found = 0
    for case in _TOOLS_MASKS["polygons"]:
        size, parts = (case["size"][0], case["size"][1]), case["parts"]
        mask = mask_of(runs_of_text(case["counts"]), size)
        if min(size) > 15 and 20 < mask.sum() < mask.size - 20 and (rings is None or len(parts) == rings):
            yield f"p{found}", size, parts, mask
            found += 1
            if found == pictures:
                return
    raise AssertionError(f"{found} polygons are there, not {pictures}.")


def coco_runs(pictures: int = 6) -> Iterator[tuple[str, tuple[int, int], dict[str, Any], Mask]]:
    """Names of pictures, their sizes, run lengths as text and as numbers, and the mask that pycocotools has of them."""
    cases = [case for case in _TOOLS_MASKS["runs"] if min(case["size"]) > 7 and len(case["runs"]) > 3]
    for i, case in enumerate(cases[:pictures]):
        size = (case["size"][0], case["size"][1])
        yield f"p{i}", size, case, mask_of(case["runs"], size)


def mask_of(runs: list[int], size: tuple[int, int]) -> Mask:
    """Runs along the columns, of which the first is outside."""
    flat = np.repeat(np.arange(len(runs)) % 2, runs)
    return np.asarray(flat.reshape(size, order="F") > 0)


def runs_of_text(text: str) -> list[int]:
    """COCO's text as runs: ``rleFrString`` of pycocotools' maskApi.c."""
    runs: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            part = ord(text[place]) - 48
            value |= (part & 31) << shift
            more, place, shift = bool(part & 32), place + 1, shift + 5
            if not more and part & 16:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
