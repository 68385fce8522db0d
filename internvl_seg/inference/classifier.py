"""A trained classifier as a function from pictures to classes."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast, overload

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmpretrain.models import ImageClassifier
from torch import Tensor

from ..common.devices import find_device
from ..common.finite import check_finite
from ..encoder import InternViT
from ..segmentation.backbone import non_finite_advice
from ..training.config import ConfigError
from .model import build_model, find_meta, find_pipeline, find_reader, in_scope, read_config, read_weights
from .pictures import PictureLike, as_rgb, as_several
from .pipeline import Pipeline

TOP_K = 5
BATCH = 8


@dataclass(frozen=True)
class Classification:
    """What a picture shows, the most likely class first.

    Attributes:
        labels: Class ids.
        names: Their names.
        probabilities: Of these classes, from 0 to 1; those of all classes add up to 1.
    """

    labels: list[int]
    names: list[str]
    probabilities: list[float]


class Classifier:
    """An image classifier with its test pipeline.

    Threads may share it, as they may a :class:`~internvl_seg.inference.Segmenter`.

    Args:
        model: The classifier, on its device and in eval mode.
        pipeline: The transforms that a picture goes through, as a config's ``test_pipeline`` without reading files.
        classes: Name of every class.

    Attributes:
        model: The classifier.
        classes: Names.
    """

    def __init__(self, model: ImageClassifier, pipeline: Sequence[dict[str, Any]], classes: Sequence[str]) -> None:
        self.model = model
        self.classes = list(classes)
        with in_scope("mmpretrain"):
            self._pipeline = Pipeline(pipeline)

    @classmethod
    def from_checkpoint(
        cls,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str],
        *,
        device: str | torch.device | None = None,
        encoder: InternViT | None = None,
        options: dict[str, Any] | None = None,
    ) -> "Classifier":
        """Build a config's model and read its weights.

        Args:
            config: The config, or its file.
            checkpoint: A checkpoint of the model, or an official head for it.
            device: Where to compute; an accelerator if there is one.
            encoder: The frozen encoder of another model, whose weights are used and not copied; read if None.
            options: Dotted keys that replace values of the config.

        Raises:
            ConfigError: The config does not describe a classifier; the message names file and key.
            CheckpointError: The weights could not be read, or are another model's.
            ValueError: There is no such device here.
        """
        place = find_device(device or get_device())
        with in_scope("mmpretrain"):
            config = read_config(config, options, ("ImageClassifier",), "mmpretrain")
            if (reader := find_reader(config)) is not None:
                raise ConfigError(
                    f"{config.filename}: the test pipeline reads bands={list(reader.bands)}, but a Classifier takes "
                    "RGB. tools/test.py scores such a model."
                )
            model = build_model(config, "ImageClassifier", encoder)
            classes = find_meta(read_weights(model, checkpoint, config), config).get("classes") or ()
        count = model.head.num_classes
        if len(classes) != count:
            classes = [f"class {i}" for i in range(count)]
        return cls(model.to(place).eval(), find_pipeline(config), classes)

    @property
    def encoder(self) -> InternViT:
        """The encoder, for another model to be put on."""
        backbone: InternViT = self.model.backbone
        return backbone

    @overload
    def __call__(  # type: ignore[overload-overlap]  # A path is a sequence, too, of characters.
        self, picture: PictureLike, *, top_k: int = TOP_K
    ) -> Classification: ...

    @overload
    def __call__(self, picture: Sequence[PictureLike], *, top_k: int = TOP_K) -> list[Classification]: ...

    def __call__(
        self, picture: PictureLike | Sequence[PictureLike], *, top_k: int = TOP_K
    ) -> Classification | list[Classification]:
        """Classify a picture or several.

        Args:
            picture: A path; a PIL image; an RGB array (H, W, 3), or grey (H, W); an RGB tensor (3, H, W); arrays and
                tensors are uint8, or floating point from 0 to 1. Or a list of these, of any sizes, or an array
                (N, H, W, 3) or tensor (N, 3, H, W).
            top_k: How many classes to give, at most all.

        Returns:
            The most likely classes; a list for several pictures.

        Raises:
            PictureError: A picture cannot be read, or is not one.
            NonFiniteError: Its probabilities are no numbers; the message names it and says what to do.
            ValueError: ``top_k`` is below 1.
        """
        several = as_several(picture)
        if several is not None:
            return list(self.iterate(several, top_k=top_k))
        return next(self.iterate([cast(PictureLike, picture)], top_k=top_k))

    @torch.no_grad()
    def iterate(
        self, pictures: Iterable[PictureLike], *, top_k: int = TOP_K, batch_size: int = BATCH
    ) -> Iterator[Classification]:
        """Classify pictures one after the other, reading no more of them than go through the encoder at once.

        Args:
            pictures: As for calling it.
            top_k: As for calling it.
            batch_size: How many go through the encoder at once.
        """
        if top_k < 1:
            raise ValueError(f"top_k={top_k}: ask for one class at least.")
        rest = iter(pictures)
        while batch := list(islice(rest, batch_size)):
            data = self.model.data_preprocessor({"inputs": [self._prepare(picture) for picture in batch]})
            # As in a test, so that a head's own way from logits to probabilities holds here, too.
            for picture, sample in zip(batch, self.model.predict(data["inputs"]), strict=True):
                found = sample.pred_score.float().topk(min(top_k, len(self.classes)))
                # NaN is taken for the highest, and of logits with NaN or infinity every probability is NaN.
                check_finite(found.values, f"{_name_of(picture)}: the probabilities", non_finite_advice(self.model))
                labels = found.indices.tolist()
                yield Classification(labels, [self.classes[i] for i in labels], found.values.tolist())

    def _prepare(self, picture: PictureLike) -> Tensor:
        """A picture as the model takes it, (3, H, W), of one size for all."""
        image = np.ascontiguousarray(as_rgb(picture)[..., ::-1])  # Pipelines take BGR, as OpenCV reads it.
        size = image.shape[:2]
        tensor = self._pipeline({"img": image, "img_shape": size, "ori_shape": size})["inputs"]
        if not isinstance(tensor, Tensor):
            raise ConfigError("The test pipeline has to give one tensor a picture: let it end with PackInputs.")
        return tensor


def _name_of(picture: PictureLike) -> str:
    return os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else "A picture"
