"""MMSegmentation's EncoderDecoder with exact inference in a fraction of the time and memory."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..common.finite import NonFiniteError
from ..encoder.streamed_blocks import StreamedBlocks
from .backbone import InternViTBackbone, non_finite_advice
from .inference import Inference
from .linear_head import LinearHead
from .memory import choose_sweep, choose_tile_bytes, choose_window_batch, measure
from .picture import Picture, undo
from .streaming import NonFiniteLogitsError, Scores, Tile, View, WindowRows, stream_tiles, undo_windows
from .windows import padded_size


def _lay_out(maps: Sequence[Tensor], heads: Iterable[nn.Module]) -> tuple[Tensor, ...]:
    """Give heads their maps as they expect them in memory.

    A ViT's maps lie there pixel by pixel (channels last), which suits convolutions. The heads of MMSegmentation and of
    this package take that; others, made for maps of a CNN, may view them channel by channel, so they get a copy.
    """
    known = all(type(head).__module__.split(".")[0] in ("mmseg", "internvl_seg") for head in heads)
    return tuple(maps) if known else tuple(m.contiguous() for m in maps)


def _only_resizes(head: BaseDecodeHead) -> bool:
    """Whether all that a head does to its logits is to resize them."""
    return all(getattr(type(head), name) is getattr(BaseDecodeHead, name) for name in ("predict", "predict_by_feat"))


def _side_by_side(windows: Iterator[Tensor], rows: int, pictures: int, columns: int) -> list[Tensor]:
    """Put the logits (C, h, w) of windows in their places: for every row of windows (pictures, h, C, columns * w).

    Rows of logits are outermost, so that some of them are one block of memory.
    """
    first = next(windows)
    classes, height, width = first.shape
    out = [first.new_empty(pictures, height, classes, columns * width) for _ in range(rows)]
    for i, logits in enumerate(chain([first], windows)):
        row, rest = divmod(i, pictures * columns)
        picture, column = divmod(rest, columns)
        out[row][picture, ..., column * width : (column + 1) * width] = logits.transpose(0, 1)
    return out


@MODELS.register_module()
class StreamingEncoderDecoder(EncoderDecoder):
    """An EncoderDecoder that predicts tile by tile, with MMSegmentation's labels.

    It has the fields of mmseg's ``EncoderDecoder`` and trains like it. Windows go through the encoder in batches, a row
    of them after the other; of their low-resolution logits only the rows that overlap are kept, and tiles of the result
    are made right from them (:mod:`internvl_seg.segmentation.streaming`). Images of any size are taken: a window that
    is no multiple of the backbone's ``patch_size`` is padded at the right and below, as MMSegmentation's
    ``data_preprocessor.test_cfg.size_divisor`` does.

    Threads may share it in eval mode, with a backbone, neck and head that they may share. How many windows go through
    the encoder at once is chosen as if one thread alone had the memory: on an accelerator, ``test_cfg`` should say it.

    Args:
        *args: Those of mmseg's ``EncoderDecoder``.
        **kwargs: Those of mmseg's ``EncoderDecoder``; ``test_cfg`` has the fields of :class:`Inference`.

    Raises:
        ValueError: A field of ``test_cfg`` is not known or its value not allowed.
    """

    test_cfg: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Inference.read(self.test_cfg)
        # By height and width of a window, how many go through the encoder at once.
        self._batches: dict[tuple[int, int], int] = {}

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images (N, 3, H, W) to what the heads take, in training."""
        auxiliary = getattr(self, "auxiliary_head", ())
        others = auxiliary if isinstance(auxiliary, nn.ModuleList) else [auxiliary] if auxiliary else []
        return _lay_out(super().extract_feat(inputs), [self.decode_head, *others])

    def test_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        """Predict a batch from a data loader; its images may have different sizes.

        Args:
            data: ``inputs``, images (3, H, W), and ``data_samples``.
        """
        sizes = {tuple(image.shape[-2:]) for image in data["inputs"]}
        if len(sizes) == 1:
            return list(super().test_step(data))
        batch = zip(data["inputs"], data["data_samples"], strict=True)
        return [p for image, sample in batch for p in self.test_step({"inputs": [image], "data_samples": [sample]})]

    def val_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        """Predict a batch from a data loader, as in tests."""
        return self.test_step(data)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Label images.

        Args:
            inputs: Normalised images, (N, 3, H, W), padded or not.
            data_samples: What became of each image (``ori_shape``, ``img_padding_size``, ``flip``), to undo it. The
                labels have the size of ``inputs`` if None.

        Returns:
            Samples with ``pred_sem_seg`` (1, H, W) int64 and, with ``keep_logits``, ``seg_logits`` (C, H, W).
        """
        return self.predict_views([inputs], None if data_samples is None else [data_samples])

    @torch.no_grad()
    def predict_views(
        self, inputs: Sequence[Tensor], data_samples: Sequence[list[SegDataSample]] | None = None
    ) -> list[SegDataSample]:
        """Label images that were seen several times, flipped or at other scales, by their mean probabilities.

        Args:
            inputs: Each time the model saw them: normalised images (N, 3, H, W).
            data_samples: For each time, what became of each image.

        Returns:
            The samples of the last time, as those of :meth:`predict`.
        """
        settings = Inference.read(self.test_cfg)
        if data_samples is None:
            data_samples = [[SegDataSample() for _ in images] for images in inputs]
        metas = [[sample.metainfo for sample in samples] for samples in data_samples]
        for sample, views in zip(data_samples[-1], self.look_at_all(inputs, metas, settings), strict=True):
            self._fill(sample, views, settings)
        return data_samples[-1]

    def look_at_all(
        self, inputs: Sequence[Tensor], metas: Sequence[Sequence[dict[str, Any]]], settings: Inference
    ) -> Iterator[list[View]]:
        """See images one or several times, a few images at once if their windows fit into one batch.

        Args:
            inputs: Each time the model sees them: normalised images (N, 3, H, W).
            metas: For each time, what became of each image, as for :meth:`look`.
            settings: How to infer.

        Yields:
            The views of an image; they are to be used up before the next image is asked for.
        """
        done = 0
        while done < len(inputs[0]):
            chunk = slice(done, done + self.pictures_at_once(inputs[0].shape[-2:], settings))
            seen = [self.look(Picture.of(i[chunk]), m[chunk], settings) for i, m in zip(inputs, metas, strict=True)]
            yield from map(list, zip(*seen, strict=True))
            done = chunk.stop

    def look(self, picture: Picture, metas: Sequence[dict[str, Any]], settings: Inference) -> list[View]:
        """See pictures of one size once.

        Args:
            picture: The normalised pictures.
            metas: What became of each: ``img_padding_size`` or ``padding_size`` (left, right, top, bottom), ``flip``
                with its ``flip_direction``, ``ori_shape``; to be undone.
            settings: How to infer.

        Returns:
            A view of each.
        """
        down, across = settings.cut(picture.size)
        shape = (down.window, across.window)
        at_once = max(self._batch(shape, settings) // (len(metas) * len(across.starts)), 1)

        def compute(first: int, last: int) -> list[Tensor]:
            tops = down.starts[first:last]
            pixels = picture.read(tops[0], tops[-1] + down.window)
            windows = [
                image[:, top - tops[0] : top - tops[0] + down.window, left : left + across.window]
                for top in tops
                for image in pixels
                for left in across.starts
            ]
            return _side_by_side(self._encode_batches(windows, settings), len(tops), len(pixels), len(across.starts))

        windows = WindowRows(compute, len(down.starts), at_once, self._classifier())
        padded = self._padded(shape)
        rows, columns = undo_windows(windows.low_size, (down, across), padded, self.align_corners, windows.device)
        names = tuple(str(meta.get("img_path") or "A picture") for meta in metas)
        views = []
        for i, meta in enumerate(metas):
            after = undo(meta, picture.size, self.align_corners, windows.device)
            sides = after[0].after(rows), after[1].after(columns)
            views.append(View(windows, i, *sides, alone=len(metas) == 1, names=names))
        return views

    def _padded(self, size: Sequence[int]) -> list[int]:
        """Height and width that the backbone takes of a window, in pixels."""
        neck = getattr(self, "neck", None)
        return padded_size(size, getattr(self.backbone, "patch_size", 1), getattr(neck, "min_grid", 1))

    def _classifier(self) -> tuple[Tensor, Tensor] | None:
        """Weight (C, channels) and bias of a linear head that has more classes than channels, if it is one."""
        head = self.decode_head
        if not isinstance(head, LinearHead) or not _only_resizes(head) or head.channels >= head.out_channels:
            return None
        return head.conv_seg.weight.flatten(1).float(), head.conv_seg.bias.float()

    def _look_at(self, windows: Tensor) -> tuple[Tensor, ...]:
        """What the backbone gives of windows (B, 3, H, W)."""
        height, width = self._padded(windows.shape[-2:])
        padding = (0, width - windows.shape[-1], 0, height - windows.shape[-2])
        maps = self.backbone(F.pad(windows, padding, value=getattr(self.data_preprocessor, "pad_val", 0)))
        return tuple(maps)

    def _decode(self, maps: tuple[Tensor, ...], shape: tuple[int, int]) -> Tensor:
        """Map what the backbone gives of windows to logits (B, C, h, w), of the resolution at which the head has them.

        Of a head with a :meth:`_classifier` they are the features that it makes logits of.
        """
        if self.with_neck:
            maps = tuple(self.neck(maps))
        maps = _lay_out(maps, [self.decode_head])
        logits: Tensor
        if self._classifier() is not None:
            logits = self.decode_head.features(maps)
        elif _only_resizes(self.decode_head):
            logits = self.decode_head(maps)
        else:  # A head that does more than to resize its logits is asked for them at full size.
            padded = tuple(self._padded(shape))
            metas = [{"img_shape": padded, "pad_shape": padded} for _ in maps[0]]
            logits = self.decode_head.predict(maps, metas, self.test_cfg)
        return logits

    def _encode_batches(self, windows: list[Tensor], settings: Inference) -> Iterator[Tensor]:
        """Logits (C, h, w) of windows (3, H, W) of one size, computed some of them at a time."""
        shape = (windows[0].shape[-2], windows[0].shape[-1])
        done = 0
        if settings.window_batch is None and shape not in self._batches and self._sweep(shape) is None:
            weights = chain(self.parameters(), self.buffers())
            first, peak = measure(lambda: self._decode(self._look_at(windows[0][None]), shape), weights)
            self._batches[shape] = choose_window_batch(peak, shape[0] * shape[1], first.device)
            yield first[0]
            done = 1
        step = self._batch(shape, settings)
        # Where many share a sweep, the head sees one at a time: it needs far more memory for each than its maps take.
        parts = step if self._sweep(shape) is None else 1
        for start in range(done, len(windows), step):
            maps = self._look_at(torch.stack(windows[start : start + step]))
            for part in zip(*(m.split(parts) for m in maps), strict=True):
                yield from self._decode(part, shape)

    def _batch(self, shape: tuple[int, int], settings: Inference) -> int:
        """How many windows go through the encoder at once; one while that is not known."""
        return settings.window_batch or self._sweep(shape) or self._batches.get(shape, 1)

    def _sweep(self, shape: tuple[int, int]) -> int | None:
        """How many windows share one reading of a backbone that is not in memory; None if it is."""
        encoder: InternViTBackbone = self.backbone
        if not isinstance(encoder, InternViTBackbone) or not isinstance(encoder.blocks, StreamedBlocks):
            return None
        if shape not in self._batches:
            height, width = self._padded(shape)
            values = height * width // encoder.patch_size**2 * encoder.embed_dim
            # A window's tokens, before and after a block, and its maps, as the encoder has them and in fp32.
            kept = values * (2 * encoder.dtype.itemsize + len(encoder.out_indices) * (encoder.dtype.itemsize + 4))
            self._batches[shape] = choose_sweep(kept, encoder.cls_token.device)
        return self._batches[shape]

    def halve_window_batch(self) -> bool:
        """Send half as many windows through the encoder at once from now on, as memory was not enough.

        Returns:
            False if it was one at a time.
        """
        most = Inference.read(self.test_cfg).window_batch or max(1, *self._batches.values())
        if most > 1:
            changed = copy.copy(self.test_cfg)  # Other threads may be reading this one.
            changed["window_batch"] = most // 2
            self.test_cfg = changed
        return most > 1

    def pictures_at_once(self, size: Sequence[int], settings: Inference) -> int:
        """How many pictures have so few windows that all of them are one batch."""
        down, across = settings.cut(size)
        batch = self._batch((down.window, across.window), settings)
        return max(batch // (len(down.starts) * len(across.starts)), 1)

    def _fill(self, sample: SegDataSample, views: Sequence[View], settings: Inference) -> None:
        """Put labels, and logits if they are to be kept, into a sample."""
        device, size = views[0].windows.device, views[0].size
        labels = torch.empty(size, dtype=torch.int64, device=device)
        logits = torch.empty(self.out_channels, *size, device=device) if settings.keep_logits else None
        for tile in self.tiles(views, settings, "logits" if settings.keep_logits else None):
            labels[tile.rows, tile.columns] = tile.labels
            if logits is not None and tile.scores is not None:
                logits[:, tile.rows, tile.columns] = tile.scores
        sample.pred_sem_seg = PixelData(data=labels[None])
        if logits is not None:
            sample.seg_logits = PixelData(data=logits)

    def tiles(self, views: Sequence[View], settings: Inference, scores: Scores | None = None) -> Iterator[Tile]:
        """The labels of a picture tile by tile, as :func:`internvl_seg.segmentation.streaming.stream_tiles`.

        Raises:
            NonFiniteError: Its logits hold NaN or infinity; the message names the picture.
        """
        threshold = self.decode_head.threshold if self.out_channels == 1 else None
        tile_bytes = choose_tile_bytes(views[0].windows.device, settings.max_memory)
        try:
            yield from stream_tiles(views, tile_bytes, threshold, scores)
        except NonFiniteLogitsError as error:
            names = views[0].names
            name = names[error.picture] if error.picture < len(names) else "A picture"
            raise NonFiniteError(f"{name}: the logits hold NaN or infinity. {non_finite_advice(self)}") from error
