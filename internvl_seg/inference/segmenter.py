"""A trained model as a function from pictures to labels."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, cast, overload

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from numpy.typing import NDArray
from torch import Tensor

from ..common.devices import find_device
from ..data.bands import BandReader
from ..data.palette import distinct_palette
from ..encoder import InternViT
from ..segmentation.inference import Inference
from ..segmentation.picture import Picture
from ..segmentation.segmentor import StreamingEncoderDecoder
from ..segmentation.streaming import View
from .model import build_model, find_meta, find_pipeline, find_reader, in_scope, read_config, read_weights
from .pictures import PictureLike, as_bands, as_rgb, as_several
from .pipeline import Pipeline

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segmentation:
    """What is where in a picture.

    Attributes:
        labels: Class ids, (H, W) uint8, or uint16 for more than 256 classes.
        areas: Pixels of every class, by its name.
        probabilities: (C, H, W) float32, if they were asked for; of a model with one output (1, H, W).
    """

    labels: NDArray[Any]
    areas: dict[str, int]
    probabilities: NDArray[np.float32] | None = None


class Segmenter:
    """A segmentor with its test pipeline.

    Threads may share it, as they may its model (:class:`~internvl_seg.segmentation.StreamingEncoderDecoder`): pictures
    are decoded and predicted side by side, and take turns in the pipeline. An iterator of it belongs to one thread.

    Args:
        model: The segmentor, on its device and in eval mode.
        pipeline: The transforms that a picture goes through, as a config's ``test_pipeline`` without reading files and
            masks; or a ``tta_pipeline``, of which the mean probabilities decide.
        classes: Name of every class.
        palette: RGB, 0 to 255, of every class.
        reader: What reads the bands that the model takes; None for RGB.

    Attributes:
        model: The segmentor.
        reader: Of bands.
        classes: Names.
        palette: Colours.
        dtype: Of labels.
    """

    def __init__(
        self,
        model: StreamingEncoderDecoder,
        pipeline: Sequence[dict[str, Any]],
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        reader: BandReader | None = None,
    ) -> None:
        self.model = model
        self.reader = reader
        self.classes = list(classes)
        self.palette = [list(colour) for colour in palette]
        self.dtype = np.dtype(np.uint8 if len(self.classes) <= 256 else np.uint16)
        with in_scope("mmseg"):
            self._pipeline = Pipeline([{"type": "LoadImageFromNDArray"}, *pipeline])

    @classmethod
    def from_checkpoint(
        cls,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str],
        *,
        device: str | torch.device | None = None,
        tta: bool = False,
        encoder: InternViT | None = None,
        options: dict[str, Any] | None = None,
    ) -> "Segmenter":
        """Build a config's model and read its weights.

        Args:
            config: The config, or its file.
            checkpoint: A checkpoint of the model. The classes and colours that it was trained with are in it; without
                them, those of the config's test set are taken.
            device: Where to compute; an accelerator if there is one.
            tta: Average over the scales and flips of the config's ``tta_pipeline``.
            encoder: The frozen encoder of another model, whose weights are used and not copied; read if None.
            options: Dotted keys that replace values of the config.

        Raises:
            ConfigError: The config does not describe a segmentor; the message names file and key.
            CheckpointError: The weights could not be read, or are another model's.
            ValueError: There is no such device here.
        """
        place = find_device(device or get_device())
        with in_scope("mmseg"):
            config = read_config(config, options, ("StreamingEncoderDecoder", "EncoderDecoder"), "mmseg")
            model = build_model(config, "StreamingEncoderDecoder", encoder)
            meta = find_meta(read_weights(model, checkpoint, config), config)
        classes, palette = _classes_of(meta, model.num_classes)
        reader = find_reader(config, tta)
        return cls(model.to(place).eval(), find_pipeline(config, tta), classes, palette, reader)

    @property
    def encoder(self) -> InternViT:
        """The encoder, for another model to be put on."""
        backbone: InternViT = self.model.backbone
        return backbone

    @overload
    def __call__(  # type: ignore[overload-overlap]  # A path is a sequence, too, of characters.
        self, picture: PictureLike, *, probabilities: bool = False
    ) -> Segmentation: ...

    @overload
    def __call__(self, picture: Sequence[PictureLike], *, probabilities: bool = False) -> list[Segmentation]: ...

    def __call__(
        self, picture: PictureLike | Sequence[PictureLike], *, probabilities: bool = False
    ) -> Segmentation | list[Segmentation]:
        """Segment a picture or several.

        Args:
            picture: A path; a PIL image; an RGB array (H, W, 3), or grey (H, W); an RGB tensor (3, H, W); arrays and
                tensors are uint8, or floating point from 0 to 1. Or a list of these, of any sizes, or an array
                (N, H, W, 3) or tensor (N, 3, H, W). Of a model of other bands a path, or an array (H, W, bands) or
                tensor (bands, H, W) of the values that files have, in the order of ``bands`` in its pipeline.
            probabilities: Whether to give those of every class.

        Returns:
            What is where, at the picture's own size; a list for several pictures.

        Raises:
            PictureError: A picture cannot be read, or is not one.
            ImageError: A file or array has not the bands that the model takes.
            NonFiniteError: Its logits hold NaN or infinity; the message names it and says what to do.
        """
        several = as_several(picture)
        if several is not None:
            return list(self.iterate(several, probabilities=probabilities))
        return next(self.iterate([cast(PictureLike, picture)], probabilities=probabilities))

    @torch.no_grad()
    def iterate(self, pictures: Iterable[PictureLike], *, probabilities: bool = False) -> Iterator[Segmentation]:
        """Segment pictures one after the other, reading no more of them than go through the encoder at once.

        Args:
            pictures: As for calling it.
            probabilities: Whether to give those of every class.
        """
        settings = Inference.read(self.model.test_cfg)
        ready = map(self._prepare, pictures)
        for sizes, alike in groupby(ready, key=lambda views: [tuple(view.shape[-2:]) for view, _ in views]):
            while batch := list(islice(alike, self.model.pictures_at_once(sizes[0], settings))):
                times = [zip(*seen, strict=True) for seen in zip(*batch, strict=True)]
                inputs, metas = zip(*((torch.stack(images), list(found)) for images, found in times), strict=True)
                for views in self.model.look_at_all(inputs, metas, settings):
                    yield self._segment(views, settings, probabilities)

    def _prepare(self, picture: PictureLike) -> list[tuple[Tensor, dict[str, Any]]]:
        """Every view of a picture as the model takes it, (bands, H, W), and what became of it."""
        if self.reader is None:
            # Pipelines take BGR, as OpenCV reads it.
            image = np.ascontiguousarray(as_rgb(picture)[..., ::-1])
        else:
            image = as_bands(picture, self.reader)
        data = self._pipeline({"img": image})
        inputs, samples = data["inputs"], data["data_samples"]
        several = isinstance(inputs, (list, tuple))
        views = zip(inputs, samples, strict=True) if several else [(inputs, samples)]
        ready = (self.model.data_preprocessor({"inputs": [i], "data_samples": [s]}) for i, s in views)
        name = {"img_path": os.fspath(picture)} if isinstance(picture, (str, os.PathLike)) else {}
        return [(view["inputs"][0], view["data_samples"][0].metainfo | name) for view in ready]

    def _segment(self, views: Sequence[View], settings: Inference, probabilities: bool) -> Segmentation:
        labels = np.empty(views[0].size, self.dtype)
        scores = np.empty((self.model.out_channels, *views[0].size), np.float32) if probabilities else None
        for tile in self.model.tiles(views, settings, "probabilities" if probabilities else None):
            labels[tile.rows, tile.columns] = tile.labels.cpu().numpy()
            if scores is not None and tile.scores is not None:
                scores[:, tile.rows, tile.columns] = tile.scores.cpu().numpy()
        return Segmentation(labels, self.areas(labels), scores)

    def areas(self, labels: NDArray[Any]) -> dict[str, int]:
        """Pixels of every class in a map of class ids, by the class's name."""
        counts = np.bincount(labels.ravel(), minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=False)}

    @torch.no_grad()
    def bands(
        self, size: tuple[int, int], rows: Callable[[int, int], NDArray[Any]]
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Segment a picture of any size in parts, by sliding windows over it as it is, without resizing.

        The labels are those of the whole picture in one piece. In memory are the rows of windows that overlap.

        Args:
            size: Height and width, in pixels.
            rows: Gives the rows from a first one to a last one (not included), RGB (rows, W, 3), or the bands that
                the model takes. It is asked for overlapping rows, from top to bottom.

        Yields:
            First row and class ids, (rows, W), of bands from top to bottom.

        Raises:
            NonFiniteError: The logits of a band hold NaN or infinity; nothing of it was given.
        """
        settings = self.sliding()
        picture = Picture(size, lambda start, stop: self._normalise(rows(start, stop)))
        views = self.model.look(picture, [{}], settings)
        band = np.empty((0, size[1]), self.dtype)
        for tile in self.model.tiles(views, settings):
            if tile.columns.start == 0:
                band = np.empty((tile.rows.stop - tile.rows.start, size[1]), self.dtype)
            band[:, tile.columns] = tile.labels.cpu().numpy()
            if tile.columns.stop == size[1]:
                yield tile.rows.start, band

    def sliding(self) -> Inference:
        """How a picture is read in parts: as the config slides, or by windows of the training size.

        Those overlap by an eighth, so that no window's edge decides alone.
        """
        settings = Inference.read(self.model.test_cfg)
        if settings.mode == "slide":
            return settings
        size = getattr(self.model.data_preprocessor, "size", None) or (504, 504)
        stride = tuple(max(side * 7 // 8, 1) for side in size)
        bounds = {"window_batch": settings.window_batch, "max_memory": settings.max_memory}
        return Inference.read({"mode": "slide", "crop_size": tuple(size), "stride": stride, **bounds})

    def _normalise(self, rows: NDArray[Any]) -> Tensor:
        """Rows (h, W, bands) as the model takes them, (1, bands, h, W); without the padding of a preprocessor."""
        pre = self.model.data_preprocessor
        # The pipeline gives BGR; what the model was trained on is that, or with its channels the other way round.
        channels = rows if pre._channel_conversion or self.reader is not None else rows[..., ::-1]
        pixels = torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1))).to(pre.device).float()
        if pre._enable_normalize:
            pixels.sub_(pre.mean).div_(pre.std)
        return pixels[None]


def _classes_of(meta: dict[str, Any], count: int) -> tuple[list[str], list[Any]]:
    """Names and colours of the classes."""
    classes, palette = meta.get("classes") or (), meta.get("palette") or ()
    for what, given in (("names", classes), ("colours", palette)):
        if 0 < len(given) != count:
            logger.warning("%d %s of classes are given, but the model has %d: not used.", len(given), what, count)
    if len(classes) != count:
        classes = [f"class {i}" for i in range(count)]
    return list(classes), list(palette) if len(palette) == count else distinct_palette(count)
