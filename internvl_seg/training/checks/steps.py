"""The steps of a config's pipelines, in the order in which an image goes through them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config
from mmseg.registry import TRANSFORMS

from ..config import walk
from .contradiction import type_name

# Data sets that hand on the samples of others; what those of one's own do is not known.
_WRAPPERS = ("ConcatDataset", "RepeatDataset", "ClassBalancedDataset", "MultiImageMixDataset")
_LIBRARIES = ("mmcv", "mmengine", "mmseg", "internvl_seg")


class Step(NamedTuple):
    """A step of a pipeline.

    Attributes:
        key: Its dotted key.
        node: Its fields.
    """

    key: str
    node: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its class."""
        return type_name(self.node)

    @property
    def is_known(self) -> bool:
        """Whether it is of a library, so that it is known what it does."""
        kind = self.node.get("type")
        kind = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
        return kind is not None and kind.__module__.partition(".")[0] in _LIBRARIES

    def inner(self) -> Iterator["Step"]:
        """It, and the steps that it chooses from or repeats."""
        for key, node in walk(self.node, self.key):
            if node.get("type"):
                yield Step(key, node)


class Chain(NamedTuple):
    """All steps from the files to a sample.

    Attributes:
        key: Of the pipeline that ends it.
        steps: From the first on.
    """

    key: str
    steps: list[Step]

    def all_steps(self) -> list[Step]:
        """Those that others choose from, too."""
        return [inner for step in self.steps for inner in step.inner()]

    @property
    def is_known(self) -> bool:
        """Whether it is known of all what they do."""
        return all(step.is_known for step in self.all_steps())


def chains(config: Config, loader: str) -> Iterator[Chain]:
    """The steps of each data set of a loader.

    Args:
        config: The config.
        loader: Its key.
    """
    dataset = (config.get(loader) or {}).get("dataset")
    if isinstance(dataset, dict):
        yield from _chains(f"{loader}.dataset", dataset)


def _chains(key: str, node: dict[str, Any]) -> Iterator[Chain]:
    own = [Step(f"{key}.pipeline[{i}]", step) for i, step in enumerate(node.get("pipeline") or ())]
    if "dataset" not in node and "datasets" not in node:
        if own:
            yield Chain(f"{key}.pipeline", own)
        return
    inner = [(f"{key}.dataset", node.get("dataset"))]
    inner += [(f"{key}.datasets[{i}]", dataset) for i, dataset in enumerate(node.get("datasets") or ())]
    for where, dataset in inner if type_name(node) in _WRAPPERS else ():
        if isinstance(dataset, dict):
            for chain in _chains(where, dataset):
                yield Chain(f"{key}.pipeline" if own else chain.key, [*chain.steps, *own])
