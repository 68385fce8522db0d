"""Features of an encoder for a study: which stores it needs, and making what is missing of them."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from ..training import ConfigError
from ..training.stream import SeededDataset
from .extraction import Content, Extractor
from .feature_store import FeatureStore, check_room
from .filling import fill, measure_sample
from .frozen_encoder import FrozenEncoder
from .head_spec import HeadSpec
from .settings import ProbeSettings
from .sources import Source, StoreSource, StreamSource
from .store_key import FORMAT, code_versions, hash_code, without_places
from .task import Task

# Shows how far a part is: gives, for a name and a total, what is told of every step.
Track = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class Need(NamedTuple):
    """A store that a study needs.

    Attributes:
        split: 'train', 'val' or 'plain'.
        images: Number of images.
        views: Views of each.
        sample_bytes: About how many bytes a view of an image takes.
    """

    split: str
    images: int
    views: int
    sample_bytes: int

    @property
    def nbytes(self) -> int:
        """About how many bytes the store takes."""
        return self.images * self.views * self.sample_bytes


class EncoderFeatures:
    """Features of an encoder, kept in stores or computed when they are needed.

    Args:
        task: The data.
        settings: Of the study.
        encoder: The encoder; on the meta device only :meth:`needs` works.
        specs: All heads that will be asked for, for the blocks and the content to keep.
        stream: Whether to keep nothing.
        track: Shows how far a part is.

    Raises:
        ConfigError: A head cannot be trained without a store.

    Attributes:
        encoder: The encoder.
        blocks: Blocks that are kept, from 0.
        content: What is kept of them.
        keys: What the features of every split are made of, once they are prepared.
        stores: By split, once they are prepared; none if nothing is kept.
        timing: Seconds of this run by part.
        weights: Hash of the encoder's weights, once features are prepared.
    """

    weights: str

    def __init__(
        self,
        task: Task,
        settings: ProbeSettings,
        encoder: FrozenEncoder,
        specs: Sequence[HeadSpec],
        stream: bool,
        track: Track,
    ) -> None:
        if stream and any(spec.solver == "lbfgs" for spec in specs):
            raise ConfigError("probe.heads[].solver='lbfgs' reads all features again and again: leave --stream out.")
        self.encoder = encoder
        self.blocks = sorted({block for spec in specs for block in spec.blocks})
        self.content: Content = task.content(specs)
        self.keys: dict[str, dict[str, Any]] = {}
        self.stores: dict[str, FeatureStore] = {}
        self.timing: dict[str, float] = {}
        self._task = task
        self._settings = settings
        self._stream = stream
        self._track = track
        self._has_closed_form = any(spec.solver == "closed_form" for spec in specs)
        self._trains = any(spec.solver != "closed_form" for spec in specs)
        self._sources: dict[str, Source] = {}
        # Pooled vectors take no room to speak of, and 8 bits with a scale per vector would take more.
        self._dtype = "float32" if self.content == "pooled" else settings.store.dtype

    def _splits(self) -> list[tuple[str, SeededDataset, int]]:
        found = [("train", self._task.train, self._settings.views)] if self._trains else []
        if self._has_closed_form:
            found.append(("plain", self._task.plain, 1))
        return [*found, ("val", self._task.val, 1)]

    def _extractor(self, split: str) -> Extractor:
        test_cfg = self._task.test_cfg if split == "val" else None
        batch_size = self._settings.store.batch_size
        return Extractor(self.encoder, self._task.preprocessor, self.blocks, self.content, test_cfg, batch_size)

    def needs(self) -> list[Need]:
        """The stores that the study needs, whether they are there or not."""
        return [
            Need(split, len(data), views, measure_sample(data, self._extractor(split), self._dtype))
            for split, data, views in self._splits()
        ]

    def _key(self, split: str) -> dict[str, Any]:
        dataset = self._task.split(split)
        return {
            "format": FORMAT,
            "encoder": self.weights,
            "encoder_fields": {k: v for k, v in self.encoder.config.items() if k not in ("init_cfg", "out_indices")},
            "blocks": self.blocks,
            "embed_dim": self.encoder.embed_dim,
            "content": self.content,
            "dtype": self._dtype,
            "batch_size": self._settings.store.batch_size,
            "data": self._task.val_hash if split == "val" else self._task.train_hash,
            "dataset": without_places(dataset),
            "transforms": dataset["pipeline"],
            "preprocessor": self._task.preprocessor,
            "windows": self._task.test_cfg if split == "val" else None,
            "seed": self._task.seed if split == "train" else None,
            "code": hash_code(),
            "versions": code_versions(),
        }

    def prepare(self, needs: Sequence[Need]) -> None:
        """Make what is missing of the stores.

        Args:
            needs: Of :meth:`needs`.

        Raises:
            StoreError: A store cannot be written.
        """
        self.weights, workers = self.encoder.sha256(), self._settings.store.workers
        self.keys = {split: self._key(split) for split, _, _ in self._splits()}
        if self._stream:
            for split, data, _ in self._splits():
                self._sources[split] = StreamSource(self._extractor(split), data, workers)
            return
        root = Path(self._settings.store.folder).expanduser()
        missing = {}
        for (split, _, views), need in zip(self._splits(), needs, strict=True):
            store = FeatureStore.at(root, split, self.keys[split], need.images, need.sample_bytes)
            self.stores[split], missing[split] = store, store.missing(views)
            self._sources[split] = StoreSource(store, views)
        # For all of them before the first is begun.
        check_room({self.stores[need.split]: (missing[need.split], need.sample_bytes) for need in needs})
        for split, data, _ in self._splits():
            start = time.monotonic()
            images = sum(len(shard.images) for shard in missing[split])
            with self._track(f"{self.encoder.name}: features, {split}", images) as advance:
                fill(self.stores[split], missing[split], data, self._extractor(split), workers, advance)
            self.timing[f"features, {split}"] = time.monotonic() - start

    def source(self, split: str) -> Source:
        """Features of a split."""
        return self._sources[split]
