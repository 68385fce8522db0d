"""Training samples as a function of the seed and their place in the run, so that a killed run resumes exactly."""

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset


def seed_everything(*numbers: int) -> None:
    """Seed Python, NumPy and PyTorch, each with a hash of several non-negative numbers."""
    states = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(states[0]))
    np.random.seed(states[1])
    torch.manual_seed(int(states[2]))


class Draw(int):
    """Index of a sample that knows how many samples all processes together drew before it."""

    position: int


@DATA_SAMPLERS.register_module()
class StreamSampler(InfiniteSampler):
    """MMEngine's endless sampler, whose indices know their position in the stream of all processes.

    Args:
        round_up: Whether a last batch of a pass counts that is not whole, for its length.
        **kwargs: Arguments of MMEngine's ``InfiniteSampler``.
    """

    def __init__(self, round_up: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.round_up = round_up
        self._first = 0

    def __iter__(self) -> Iterator[Draw]:
        """Iterate from the first index, or from the one that was skipped to."""
        for turn, index in enumerate(self.indices, self._first):
            draw = Draw(index)
            draw.position = self.rank + turn * self.world_size
            yield draw

    def __len__(self) -> int:
        """How many samples this process draws in a pass of all processes over the data."""
        turns: float = self.size / self.world_size
        return math.ceil(turns) if self.round_up else math.floor(turns)

    def skip(self, num_samples: int) -> None:
        """Begin after this many samples of this process, whose data are not read."""
        super().skip(num_samples)
        self._first = num_samples


@DATA_SAMPLERS.register_module()
class PassSampler(DefaultSampler):
    """MMEngine's sampler of one pass after the other, whose indices know their position in all of them."""

    def __iter__(self) -> Iterator[Draw]:
        """Iterate over a pass, whose number ``set_epoch`` has told."""
        for turn, index in enumerate(super().__iter__()):
            draw = Draw(index)
            draw.position = self.epoch * self.total_size + self.rank + turn * self.world_size
            yield draw


@DATASETS.register_module()
class SeededDataset(Dataset[Any]):
    """A dataset whose random augmentation depends on the seed and a sample's position in the run, and nothing else.

    Not on the worker, the process or what was drawn before: one process with a batch of four and two with a batch of
    two each train on the same images, cropped and flipped alike, and so does a resumed run.

    Threads may not share it; the processes of a loader have one each.

    Args:
        dataset: Config of a dataset.
        seed: Of the run.
    """

    def __init__(self, dataset: dict[str, Any], seed: int) -> None:
        self.dataset = DATASETS.build(dataset)
        self.seed = seed

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette of the dataset."""
        return dict(self.dataset.metainfo)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        """The sample, augmented as its position says."""
        seed_everything(self.seed, draw.position)
        return self.dataset[int(draw)]


def seeded_by_position(dataloader: Any, seed: int) -> Any:
    """The config of a data loader, whose samples are then augmented as the seed and their position in the run say.

    Args:
        dataloader: With one of MMEngine's two samplers, by name or class; of another one, or with batches of its own
            making, there are no positions, and it is returned as it is.
        seed: Of the run.
    """
    if not isinstance(dataloader, dict) or dataloader.get("batch_sampler") is not None:
        return dataloader
    sampler, dataset = dataloader.get("sampler"), dataloader.get("dataset")
    if not isinstance(sampler, dict) or not isinstance(dataset, dict):
        return dataloader
    # A name may have a scope or a path before it; a class of another package may have the same name.
    kind = DATA_SAMPLERS.get(sampler["type"]) if isinstance(sampler["type"], str) else sampler["type"]
    if kind is InfiniteSampler:
        # So that a pass has as many batches on one process as on several.
        whole = dataloader.get("drop_last", False)
        sampler = {**sampler, "type": "StreamSampler", "round_up": not whole}
    elif kind is DefaultSampler:
        sampler = {**sampler, "type": "PassSampler"}
    else:
        return dataloader
    dataset = {"type": "SeededDataset", "dataset": dataset, "seed": seed}
    return {**dataloader, "dataset": dataset, "sampler": sampler}
