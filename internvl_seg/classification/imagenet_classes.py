"""The classes of ImageNet-1K, and which of them ImageNet-A and ImageNet-R have.

``imagenet_classes.csv`` has a row a class in the order of the 1000 outputs: number, WordNet id, name, and whether it is
among the 200 of ImageNet-A (arXiv 1907.07174, hendrycks/natural-adv-examples) and of ImageNet-R (arXiv 2006.16241,
hendrycks/imagenet-r).
"""

import csv
import functools
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class ImageNetClass:
    """A class of ImageNet-1K.

    Attributes:
        id: Its output, from 0.
        wnid: Its WordNet id, which names its folder.
        name: Its name.
        in_a: Whether ImageNet-A has it.
        in_r: Whether ImageNet-R has it.
    """

    id: int
    wnid: str
    name: str
    in_a: bool
    in_r: bool


@functools.cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """All 1000, in order."""
    text = files(__package__).joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        ImageNetClass(int(r["id"]), r["wnid"], r["name"], r["imagenet_a"] == "1", r["imagenet_r"] == "1") for r in rows
    )
