"""What a config's study is about: images, labels, classes, loss and score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from ..training import ConfigError
from ..training.stream import SeededDataset
from .extraction import Content
from .frozen_encoder import FrozenEncoder
from .head_spec import HeadSpec, Subset
from .loss import CrossEntropy
from .objectives import Objectives
from .store_key import hash_data
from .validation import Decide, Labeller, accuracy_and_mean, best_class, iou_and_mean


@dataclass(frozen=True)
class Task:
    """Semantic segmentation or image classification on a config's data.

    Attributes:
        config: The config.
        seed: Of augmentation.
    """

    config: Config
    seed: int

    @property
    def is_dense(self) -> bool:
        """Whether pixels are labelled, not images."""
        return "decode_head" in self.config.model

    @property
    def name(self) -> str:
        """'segmentation' or 'classification'."""
        return "segmentation" if self.is_dense else "classification"

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "mIoU" if self.is_dense else "top-1"

    @property
    def preprocessor(self) -> dict[str, Any]:
        """Config of the ``data_preprocessor``.

        Raises:
            ConfigError: There is none.
        """
        found = self.config.model.get("data_preprocessor")
        if found is None or "type" not in found:
            raise ConfigError(f"{self.config.filename}: model.data_preprocessor is missing, or has no type.")
        return dict(found)

    @property
    def test_cfg(self) -> dict[str, Any] | None:
        """How validation images are cut into windows; None if images are labelled."""
        return dict(self.config.model.get("test_cfg") or {}) if self.is_dense else None

    def split(self, name: str) -> dict[str, Any]:
        """Config of a data set: 'train', 'val', or 'plain' for the training images as validation images are seen."""
        loader = "val_dataloader" if name == "val" else "train_dataloader"
        dataset = dict(self.config[loader].dataset)
        if name == "plain":
            dataset["pipeline"] = self.config.val_dataloader.dataset.pipeline
        return dataset

    @cached_property
    def train(self) -> SeededDataset:
        """The training images."""
        return SeededDataset(self.split("train"), self.seed)

    @cached_property
    def val(self) -> SeededDataset:
        """The validation images."""
        return SeededDataset(self.split("val"), self.seed)

    @cached_property
    def plain(self) -> SeededDataset:
        """The training images without augmentation."""
        return SeededDataset(self.split("plain"), self.seed)

    @cached_property
    def train_hash(self) -> str:
        """Hash of all that the training images and their labels hold."""
        return hash_data(self.infos(self.train))

    @cached_property
    def val_hash(self) -> str:
        """Hash of all that the validation images and their labels hold."""
        return hash_data(self.infos(self.val))

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes.

        Raises:
            ConfigError: The head has another number of them.
        """
        found = list(self.val.metainfo.get("classes") or ())
        if self.is_dense and len(found) != (wanted := self.config.model.decode_head.num_classes):
            raise ConfigError(
                f"{self.config.filename}: model.decode_head.num_classes = {wanted}, but val_dataloader.dataset "
                f"({self.config.val_dataloader.dataset.type}) has {len(found)} classes."
            )
        if len(found) < 2:
            raise ConfigError(
                f"{self.config.filename}: val_dataloader.dataset has {len(found)} classes; a probe needs two."
            )
        return found

    @property
    def ignore_index(self) -> int:
        """Label of pixels that are not scored."""
        return int(self.config.model.decode_head.get("ignore_index", 255)) if self.is_dense else -1

    @property
    def about(self) -> dict[str, Any]:
        """What heads depend on beside features and the study's settings, as plain data."""
        model = self.config.model
        head = model.get("decode_head") if self.is_dense else model.get("head")
        return {"head": dict(head or {}), "classes": self.classes, "seed": self.seed}

    def content(self, specs: Sequence[HeadSpec]) -> Content:
        """What heads need of a block."""
        if self.is_dense:
            return "maps"
        return "tokens" if any(spec.kind == "attention_pooling" for spec in specs) else "pooled"

    def objectives(self, stride: int) -> Objectives:
        """The loss.

        Raises:
            ConfigError: The config's is another one than cross entropy.
        """
        try:
            if self.is_dense:
                return Objectives.of_head(self.config.model.decode_head, stride)
            return Objectives(CrossEntropy.of_images(self.config.model), stride=1, dense=False)
        except ValueError as error:
            raise ConfigError(f"{self.config.filename}: model.{error}") from error

    def decide(self, encoder: FrozenEncoder) -> Decide:
        """Makes predictions of logits."""
        if self.test_cfg is None:
            return best_class
        patch_size = getattr(encoder.backbone, "patch_size", 1)
        return Labeller(self.test_cfg, patch_size, self.config.model.decode_head.get("align_corners", False))

    def score(self, counts: NDArray[np.int64]) -> tuple[list[float | None], float]:
        """Score of every class and of all, in percent."""
        return iou_and_mean(counts) if self.is_dense else accuracy_and_mean(counts)

    def test_images(self) -> list[Path]:
        """The test images; none if the config has no test set, or no other one than for validation."""
        loader = self.config.get("test_dataloader")
        if loader is None or loader.dataset == self.config.val_dataloader.dataset:
            return []
        return [Path(info["img_path"]).resolve() for info in self.infos(SeededDataset(dict(loader.dataset), self.seed))]

    def infos(self, dataset: SeededDataset) -> list[Mapping[str, Any]]:
        """Where the images of a data set are, and their labels."""
        return [dataset.dataset.get_data_info(i) for i in range(len(dataset))]

    def images_of(self, subset: Subset | None) -> Sequence[int]:
        """Indices of the training images of a subset.

        Raises:
            ConfigError: A class has fewer images than are asked for.
        """
        count = len(self.train)
        if subset is None:
            return range(count)
        draw = np.random.default_rng([subset.seed, self.seed])
        if subset.fraction is not None:
            return sorted(draw.permutation(count)[: max(round(count * subset.fraction), 1)].tolist())
        labels = np.array([info["gt_label"] for info in self.infos(self.train)])
        chosen: list[int] = []
        for label, name in enumerate(self.classes):
            images = np.flatnonzero(labels == label)
            if len(images) < (wanted := subset.per_class or 0):
                raise ConfigError(
                    f"probe.few_shot.per_class asks for {wanted} images of a class, but {name!r} has {len(images)}."
                )
            chosen += draw.permutation(images)[:wanted].tolist()
        return sorted(chosen)
