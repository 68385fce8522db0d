"""Filling a feature store: what is missing of it, shard by shard."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from ..training.stream import SeededDataset
from .extraction import Extractor, load_items
from .feature_store import FeatureStore, Sample, Shard

# Images that are read and transformed at a time.
_CHUNK = 4


def position_of(view: int, image: int, images: int) -> int:
    """What the augmentation of a view depends on, beside the seed."""
    return view * images + image


def _images_of(shards: Sequence[Shard], images: int) -> Iterator[tuple[int, int]]:
    for shard in shards:
        for image in shard.images:
            yield image, position_of(shard.view, image, images)


def fill(
    store: FeatureStore,
    shards: Sequence[Shard],
    dataset: SeededDataset,
    extractor: Extractor,
    workers: int,
    advance: Callable[[int], None],
) -> None:
    """Compute and write shards of a store.

    Args:
        store: The store.
        shards: What is missing.
        dataset: The images.
        extractor: Computes features.
        workers: Processes that read images ahead.
        advance: Told how many images are done.

    Raises:
        StoreError: A shard could not be written; those before it stay.
    """
    items = chain.from_iterable(load_items(dataset, list(_images_of(shards, store.images)), workers, _CHUNK))
    for shard in shards:
        start = time.perf_counter()
        samples: list[Sample] = []
        # Batches begin anew in every shard, so that a shard has the same bits whichever others are made with it.
        for first in range(0, len(shard.images), extractor.batch_size):
            count = min(extractor.batch_size, len(shard.images) - first)
            samples += extractor.samples([next(items) for _ in range(count)])
            advance(count)
        store.write(shard, samples)
        store.add_seconds(time.perf_counter() - start)


def measure_sample(dataset: SeededDataset, extractor: Extractor, store_dtype: str, looked_at: int = 16) -> int:
    """About how many bytes a sample of a store takes: the mean of some images spread over the data set.

    Args:
        dataset: The images.
        extractor: Of an encoder that may be on the meta device, where nothing is computed.
        store_dtype: Of the store.
        looked_at: Images to look at.
    """
    count = min(looked_at, len(dataset))
    chosen = [i * len(dataset) // count for i in range(count)]
    (items,) = load_items(dataset, [(image, image) for image in chosen], 0, count)
    extractor.batch_size = 1 << 20  # Of shapes, all that are alike at once.
    return sum(sample.nbytes(store_dtype) for sample in extractor.samples(items)) // count
