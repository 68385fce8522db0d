"""Features of a data set on disk: written once, whole or not at all, and mapped into memory.

A store is a folder:

    store.json                           what it was made of (its key), the images, the shards
    view0-00000-1f2e....safetensors      some images' first view; the name ends in the SHA-256 of the file
    seconds.json                         how long it took to make

A shard holds for image ``i`` the tensors ``i.block<b>`` (windows, h, w, C), with ``i.block<b>.scale`` (C,) float32
where they are int8, and ``i.label``; its metadata ``meta`` is JSON by image. Nothing in it is code. A file whose bytes
are not those of its name is not read, but made again; so is one that is not there. Several processes may fill a store
at once: files are named after their bytes and put there whole, and of two for the same images the first by name counts.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from ..data.writing import remove_leftovers, whole_file
from ..training.results import sha256_of, write_json
from .errors import StoreError, StoreMismatchError, StoreSizeError
from .quantization import dequantize, quantize
from .store_check import open_shard, read_manifest, read_seconds
from .store_key import differences, hash_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
# What a shard is to hold: what is lost by a kill, and read again for one bad byte.
SHARD_BYTES = 64 << 20
# Left free, for logs and checkpoints.
_RESERVE = 64 << 20
_HASH_DIGITS = 16


@dataclass(frozen=True)
class Sample:
    """One view of an image.

    Attributes:
        features: By block, (windows, h, w, C) float32 or bfloat16: one window for a training crop, all windows of
            ``test_cfg`` for a validation image. Tokens are (1, 1, N, C), the CLS token first; pooled vectors
            (1, 1, 2, C), CLS and mean of the patches.
        label: (H, W) uint8 or int32 class ids, or () int64.
        meta: What became of the image, as JSON holds it.
    """

    features: Mapping[int, Tensor]
    label: Tensor
    meta: Mapping[str, Any] = field(default_factory=dict)

    def nbytes(self, dtype: str) -> int:
        """Bytes in a store of some dtype, but for names."""
        size = DTYPES[dtype].itemsize
        maps = sum(f.numel() * size + (4 * f.shape[-1] if dtype == "int8" else 0) for f in self.features.values())
        return maps + self.label.nbytes


class Shard(NamedTuple):
    """Some images of one view that are in one file.

    Attributes:
        view: Number of the view.
        number: Number of the shard in its view.
        images: Indices of the images.
    """

    view: int
    number: int
    images: range

    @property
    def stem(self) -> str:
        """How its file's name begins."""
        return f"view{self.view}-{self.number:05d}-"


class FeatureStore:
    """A folder of features; of as many views as were made.

    Threads may share it to read, but none may write to it or look for what is missing meanwhile.

    Args:
        folder: The store.
        key: What it is made of, as plain data; its hash is part of the folder's name.
        images: Number of images.
        per_shard: Images in a shard.
        dtype: One of :data:`DTYPES`.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], images: int, per_shard: int, dtype: str) -> None:
        self.folder = folder
        self.key = key
        self.images = images
        self.per_shard = per_shard
        self.dtype = dtype
        self._files: dict[tuple[int, int], tuple[Any, dict[str, Any]]] = {}
        # By view and number, the shards whose bytes and content were checked.
        self._whole: dict[tuple[int, int], Path] = {}

    @classmethod
    def at(cls, root: Path, split: str, key: Mapping[str, Any], images: int, sample_bytes: int) -> "FeatureStore":
        """The store of a key below a folder of stores, begun if it is not there.

        Args:
            root: Folder of stores.
            split: Name of the data, with which the folder's name begins.
            key: What it is made of.
            images: Number of images.
            sample_bytes: About how many bytes a sample takes.

        Raises:
            StoreError: It cannot be begun or read.
            StoreMismatchError: The folder holds another store.
        """
        folder = root / f"{split}-{hash_json(key)[:_HASH_DIGITS]}"
        manifest = folder / "store.json"
        try:
            if not manifest.is_file():
                per_shard = max(1, min(images, SHARD_BYTES // max(sample_bytes, 1)))
                write_json(manifest, {"key": dict(key), "images": images, "per_shard": per_shard})
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be written: {error.strerror}. Set probe.store.folder to another folder, or keep "
                "nothing: --stream."
            ) from error
        store = cls.open(folder, key)
        if store.images != images:
            raise StoreMismatchError(
                f"{folder} holds other features than are asked for. images: the store has {store.images}, asked for is "
                f"{images}. Remove the folder, or let probe.store.folder be another."
            )
        return store

    @classmethod
    def open(cls, folder: Path, key: Mapping[str, Any]) -> "FeatureStore":
        """A store that is there.

        Raises:
            StoreError: It is none.
            StoreMismatchError: It holds other features than those of ``key``.
        """
        found, images, per_shard = read_manifest(folder)
        wanted = json.loads(json.dumps(key, default=list))
        if problems := list(differences(found, wanted)):
            raise StoreMismatchError(
                f"{folder} holds other features than are asked for. {'; '.join(problems)}. Remove the folder, or let "
                "probe.store.folder be another."
            )
        return cls(folder, key, images, per_shard, found["dtype"])

    def shards(self, views: int) -> Iterator[Shard]:
        """The shards of the first views."""
        for view in range(views):
            for number, first in enumerate(range(0, self.images, self.per_shard)):
                yield Shard(view, number, range(first, min(first + self.per_shard, self.images)))

    def missing(self, views: int) -> list[Shard]:
        """Shards of the first views that are not there, or whose bytes are not those of their name; those are removed.

        Every byte is read, by all cores at once.

        Raises:
            StoreError: A shard whose bytes are those of its name holds something else than the store's key says.
        """
        remove_leftovers(self.folder)
        self._files, self._whole = {}, {}
        there = self._paths()
        wanted = list(self.shards(views))

        def is_whole(shard: Shard) -> bool:
            for path in there.get(shard.stem, ()):
                if path.is_dir():
                    raise StoreError(f"{path} is a folder, not a shard. Remove it.")
                if not path.is_file() or sha256_of(path)[:_HASH_DIGITS] != path.stem.removeprefix(shard.stem):
                    path.unlink(missing_ok=True)  # Another process may have been here.
                elif (shard.view, shard.number) not in self._whole:
                    open_shard(path, shard.images, self.key, whole=True)
                    self._whole[shard.view, shard.number] = path
            return (shard.view, shard.number) in self._whole

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            whole = pool.map(is_whole, wanted)
            return [shard for shard, is_there in zip(wanted, whole, strict=True) if not is_there]

    def write(self, shard: Shard, samples: Sequence[Sample]) -> None:
        """Write a shard.

        Args:
            shard: Which.
            samples: Of its images, in their order.

        Raises:
            StoreError: It cannot be written; what was written before stays.
        """
        tensors: dict[str, Tensor] = {}
        for image, sample in zip(shard.images, samples, strict=True):
            for block, features in sample.features.items():
                name = f"{image}.block{block}"
                if self.dtype == "int8":
                    tensors[name], tensors[f"{name}.scale"] = quantize(features)
                else:
                    tensors[name] = features.to(DTYPES[self.dtype]).contiguous()
            tensors[f"{image}.label"] = sample.label.contiguous()
        meta = {image: sample.meta for image, sample in zip(shard.images, samples, strict=True)}
        # Under one name: several would be written in any order.
        content = save(tensors, {"meta": json.dumps(meta, default=int)})
        digest = hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
        path = self.folder / f"{shard.stem}{digest}.safetensors"
        try:
            with whole_file(path) as file:
                file.write_bytes(content)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: {shard.stem}*.safetensors cannot be written: {error.strerror}. What was written "
                "before stays: make room and run it again, or keep nothing: --stream."
            ) from error
        self._whole[shard.view, shard.number] = path

    def read(self, view: int, image: int, blocks: Sequence[int]) -> Sample:
        """One view of an image, with the features of some blocks as they are stored, or as float32 if in 8 bits.

        Raises:
            StoreError: Its shard is not there, or holds something else than the store's key says.
        """
        file, meta = self._file(view, image // self.per_shard)
        features = {}
        for block in blocks:
            name = f"{image}.block{block}"
            stored = file.get_tensor(name)
            features[block] = dequantize(stored, file.get_tensor(f"{name}.scale")) if self.dtype == "int8" else stored
        return Sample(features, file.get_tensor(f"{image}.label"), meta[str(image)])

    def _file(self, view: int, number: int) -> tuple[Any, dict[str, Any]]:
        """An opened shard, whose bytes are mapped and read when they are used, and its metadata by image."""
        if (view, number) not in self._files:
            first = number * self.per_shard
            shard = Shard(view, number, range(first, min(first + self.per_shard, self.images)))
            path = self._whole.get((view, number)) or next(iter(self._paths().get(shard.stem, ())), None)
            if path is None or not path.is_file():
                raise StoreError(
                    f"{self.folder}: {shard.stem}*.safetensors was there and is gone. Run it again: what is missing is "
                    "made anew."
                )
            # Its numbers were looked at with its bytes.
            self._files[view, number] = open_shard(
                path, shard.images, self.key, whole=(view, number) not in self._whole
            )
        return self._files[view, number]

    def _paths(self) -> dict[str, list[Path]]:
        """Files of shards by how their names begin, in the order of their names."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.glob("view*-*-*.safetensors")):
            found.setdefault(path.stem.rpartition("-")[0] + "-", []).append(path)
        return found

    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("view*.safetensors"))

    def seconds(self) -> float:
        """How long it took to make what is there, over all runs."""
        return read_seconds(self.folder / "seconds.json")

    def add_seconds(self, seconds: float) -> None:
        """Count the time that some of it took."""
        write_json(self.folder / "seconds.json", self.seconds() + seconds)


def check_room(wanted: Mapping[FeatureStore, tuple[Sequence[Shard], int]]) -> None:
    """Check that the disk has room for shards of some stores in one folder of stores.

    Args:
        wanted: By store, the shards that are to be written, and about how many bytes a sample takes.

    Raises:
        StoreSizeError: It has not.
    """
    needed = sum(size * sum(len(shard.images) for shard in shards) for shards, size in wanted.values())
    for root in {store.folder.parent for store in wanted}:
        free = shutil.disk_usage(root).free
        if needed and needed + _RESERVE > free:
            raise StoreSizeError(
                f"{root} needs {needed / 1e9:.3g} GB more for features, but its disk has {free / 1e9:.3g} GB free. Set "
                "probe.store.folder to another disk, probe.store.dtype='int8', fewer probe.blocks or probe.views; or "
                "keep nothing: --stream."
            )
