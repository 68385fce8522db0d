"""Where heads get their features from: a store, or the encoder itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..training.stream import SeededDataset
from .errors import ProbeError
from .extraction import Extractor, load_items
from .feature_store import FeatureStore, Sample
from .order import Draw, draws


class Batch(NamedTuple):
    """Training samples.

    Attributes:
        maps: By block, (B, h, w, C) float32.
        labels: (B, H, W), or (B,).
    """

    maps: dict[int, Tensor]
    labels: Tensor


class Source(Protocol):
    """A data set's features, seen again and again."""

    def batches(
        self, seed: int, images: Sequence[int], size: int, first: int, last: int, blocks: Sequence[int]
    ) -> Iterator[Batch]:
        """The batches of some steps.

        Args:
            seed: Of the order.
            images: Indices to draw from.
            size: Samples in a batch.
            first: First step.
            last: Step after the last.
            blocks: Blocks to give.

        Yields:
            Batches, each in the memory of the one before.
        """

    def samples(self, images: Sequence[int], blocks: Sequence[int]) -> Iterator[Sample]:
        """Some images in their order, each once (the first view), with the features of some blocks."""


def collate(samples: Sequence[Sample], blocks: Sequence[int], memory: Mapping[int, Tensor]) -> Batch:
    """Put training samples of one window each together.

    Args:
        samples: The samples.
        blocks: Blocks to put together.
        memory: By block, what to write to where it has the size: getting fresh memory takes longer than to fill it.

    Raises:
        ProbeError: Their sizes differ.
    """
    shapes = {(tuple(s.features[blocks[0]].shape), tuple(s.label.shape)) for s in samples}
    if len(shapes) > 1:
        raise ProbeError(
            f"Training samples have several sizes, {sorted(s[1] for s in shapes)}: batches need one. Let the"
            " pipeline end with a crop, and set model.data_preprocessor.size to it."
        )
    maps = {}
    for block in blocks:
        shape = (len(samples), *samples[0].features[block].shape[1:])
        old = memory.get(block)
        maps[block] = old if old is not None and old.shape == shape else torch.empty(shape)
        for place, sample in zip(maps[block], samples, strict=True):
            place.copy_(sample.features[block][0])
    return Batch(maps, torch.stack([s.label for s in samples]))


class StoreSource:
    """Features of a store; the view of an image changes from epoch to epoch.

    Args:
        store: The store, whole.
        views: Views to use.
    """

    def __init__(self, store: FeatureStore, views: int) -> None:
        self._store = store
        self._views = views

    def batches(
        self, seed: int, images: Sequence[int], size: int, first: int, last: int, blocks: Sequence[int]
    ) -> Iterator[Batch]:
        """The batches of some steps, as :class:`Source` says."""
        memory: dict[int, Tensor] = {}
        for step in range(first, last):
            drawn = draws(seed, images, step * size, size)
            # So that an epoch holds all views, not one of them.
            views = [(draw.epoch + draw.image) % self._views for draw in drawn]
            samples = [self._store.read(view, d.image, blocks) for view, d in zip(views, drawn, strict=True)]
            batch = collate(samples, blocks, memory)
            memory = batch.maps
            yield batch

    def samples(self, images: Sequence[int], blocks: Sequence[int]) -> Iterator[Sample]:
        """Some images, as :class:`Source` says."""
        for image in images:
            yield self._store.read(0, image, blocks)


class StreamSource:
    """Features computed when they are needed and kept nowhere, every time of a new view.

    Args:
        extractor: Computes them.
        dataset: The data set.
        workers: Processes that read images ahead.
    """

    def __init__(self, extractor: Extractor, dataset: SeededDataset, workers: int) -> None:
        self._extractor = extractor
        self._dataset = dataset
        self._workers = workers

    def _load(self, drawn: Sequence[Draw], chunk: int) -> Iterator[list[Sample]]:
        pairs = [(draw.image, draw.position) for draw in drawn]
        for items in load_items(self._dataset, pairs, self._workers, chunk):
            yield self._extractor.samples(items)

    def batches(
        self, seed: int, images: Sequence[int], size: int, first: int, last: int, blocks: Sequence[int]
    ) -> Iterator[Batch]:
        """The batches of some steps, as :class:`Source` says."""
        for samples in self._load(draws(seed, images, first * size, (last - first) * size), size):
            yield collate(samples, blocks, {})

    def samples(self, images: Sequence[int], blocks: Sequence[int]) -> Iterator[Sample]:
        """Some images, as :class:`Source` says."""
        for samples in self._load([Draw(image, 0, image) for image in images], 1):
            for sample in samples:
                yield replace(sample, features={block: sample.features[block] for block in blocks})
