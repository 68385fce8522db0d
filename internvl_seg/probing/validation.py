"""Scoring heads on the validation images."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.confusion import pair_counts
from ..segmentation.inference import Inference
from ..segmentation.memory import choose_tile_bytes
from ..segmentation.picture import undo
from ..segmentation.resize import Taps
from ..segmentation.streaming import View, WindowRows, stream_tiles, undo_windows
from ..segmentation.windows import padded_size
from .errors import StoreError
from .extraction import Content
from .feature_store import Sample
from .features import Features, Norms
from .heads import Heads

# From the logits of some heads, (heads, classes, windows, h, w), and the sample, to predicted ids, one array a head.
Decide = Callable[[Tensor, Sample], Sequence[NDArray[np.int64]]]


class Labeller:
    """Makes label maps of the logits of an image's windows, as a segmentor's inference does.

    Args:
        test_cfg: Of the segmentor.
        patch_size: To multiples of which a window was padded.
        align_corners: As in ``F.interpolate``.
    """

    def __init__(self, test_cfg: dict[str, Any], patch_size: int, align_corners: bool) -> None:
        self._inference = Inference.read(test_cfg)
        self._patch_size = patch_size
        self._align_corners = align_corners
        self._known: dict[str, tuple[Taps, Taps]] = {}

    def __call__(self, logits: Tensor, sample: Sample) -> list[NDArray[np.int64]]:
        """Label an image with several heads: class ids (H, W) of each, at the original size.

        Args:
            logits: (heads, classes, windows, h, w) float32.
            sample: The image.
        """
        heads, classes, _, height, _ = logits.shape
        down, across = self._inference.cut(sample.meta["size"])
        if (count := len(down.starts)) * len(across.starts) != logits.shape[2]:
            raise StoreError(
                f"A validation image of {sample.meta['size']} pixels has features of {logits.shape[2]} windows, "
                f"expected {count} x {len(across.starts)}: its store is damaged. Remove the folder."
            )
        # A row of windows is (heads, h, classes, all columns), as of pictures of one size.
        rows = logits.unflatten(2, (count, -1)).permute(2, 0, 4, 1, 3, 5).reshape(count, heads, height, classes, -1)
        windows = WindowRows(lambda first, last: list(rows[first:last]), count)
        matrices = self._matrices(windows.low_size, sample.meta)
        tile_bytes = choose_tile_bytes(logits.device, self._inference.max_memory)
        out = []
        for head in range(heads):
            view = View(windows, head, *matrices, alone=False)
            labels = torch.empty(view.size, dtype=torch.int64)
            for tile in stream_tiles([view], tile_bytes):
                labels[tile.rows, tile.columns] = tile.labels
            out.append(labels.numpy())
        return out

    def _matrices(self, low_size: tuple[int, int], meta: Mapping[str, Any]) -> tuple[Taps, Taps]:
        """From the logits of all windows to the original image; those of images of one size are the same."""
        key = json.dumps([low_size, meta], default=int)
        if key not in self._known:
            down, across = self._inference.cut(meta["size"])
            padded = padded_size((down.window, across.window), self._patch_size)
            rows, columns = undo_windows(low_size, (down, across), padded, self._align_corners)
            after = undo(meta, meta["size"], self._align_corners)
            self._known[key] = after[0].after(rows), after[1].after(columns)
        return self._known[key]


def best_class(logits: Tensor, _sample: Sample) -> list[NDArray[np.int64]]:
    """Label an image as a whole: the class of the highest logit, () of every head."""
    return list(logits.flatten(1).argmax(1).numpy())


def count_all(
    heads: Sequence[Heads],
    norms: Sequence[Norms],
    samples: Iterable[Sample],
    content: Content,
    decide: Decide,
    num_classes: int,
    ignore_index: int,
    fold_of: NDArray[np.int64],
    advance: Callable[[int], None],
) -> tuple[list[list[NDArray[np.int64]]], list[list[list[int]]], list[list[bool]]]:
    """Count what every head predicts.

    Args:
        heads: The heads.
        norms: Of each, the statistics by which its features are normalised.
        samples: The validation images.
        content: What the features are.
        decide: Makes ids of logits.
        num_classes: C.
        ignore_index: Label that is not counted.
        fold_of: Of every image the fold in which it is counted.
        advance: Told how many images are done.

    Returns:
        Of every group and every head of it, (folds, C + 1, C + 1) as
        :func:`internvl_seg.data.confusion.pair_counts`; what it predicts of every image, which is nothing where pixels
        are labelled; and whether all its logits were finite, without which what it counts says nothing.
    """
    shape = (int(fold_of.max()) + 1, num_classes + 1, num_classes + 1)
    predicted: list[list[list[int]]] = [[[] for _ in one.specs] for one in heads]
    counts = [[np.zeros(shape, np.int64) for _ in one.specs] for one in heads]
    finite = [torch.ones(len(one.specs), dtype=torch.bool) for one in heads]

    def count(label: NDArray[Any], prediction: NDArray[Any]) -> NDArray[np.int64]:
        return pair_counts(label, prediction, num_classes, ignore_index)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for fold, sample in zip(fold_of, samples, strict=True):
            maps = {block: features.float() for block, features in sample.features.items()}
            label = sample.label.numpy()
            # Normalised once for all heads that share the statistics.
            seen = {id(norm): Features(maps, content, norm, training=False) for norm in norms}
            jobs = []
            for one, norm, kept, sound in zip(heads, norms, predicted, finite, strict=True):
                logits = one.predict(seen[id(norm)])
                sound &= torch.stack(logits.flatten(1).aminmax(dim=1)).isfinite().all(0)
                decided = decide(logits if sound.all() else logits.nan_to_num(0, 0, 0), sample)
                jobs.append([pool.submit(count, label, labels) for labels in decided])
                if label.ndim == 0:
                    for own, labels in zip(kept, decided, strict=True):
                        own.append(int(labels))
            for found, waiting in zip(counts, jobs, strict=True):
                for total, job in zip(found, waiting, strict=True):
                    total[fold] += job.result()
            advance(1)
    return counts, predicted, [sound.tolist() for sound in finite]


def iou_and_mean(counts: NDArray[np.int64]) -> tuple[list[float | None], float]:
    """IoU of every class, and the mIoU over the classes that are there, in percent, as MMSegmentation's metric.

    Args:
        counts: (C + 1, C + 1), as a fold of :func:`count_all`.
    """
    correct, predicted, labelled = counts.diagonal()[:-1], counts.sum(0)[:-1], counts.sum(1)[:-1]
    return _shares(correct, predicted + labelled - correct)


def accuracy_and_mean(counts: NDArray[np.int64]) -> tuple[list[float | None], float]:
    """Accuracy of every class, and that of all images, in percent.

    Args:
        counts: (C + 1, C + 1), as a fold of :func:`count_all`.
    """
    per_class, _ = _shares(counts.diagonal()[:-1], counts.sum(1)[:-1])
    return per_class, 100.0 * float(counts.diagonal()[:-1].sum()) / max(int(counts.sum()), 1)


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[list[float | None], float]:
    shares = [100.0 * int(p) / int(w) if w else None for p, w in zip(part, whole, strict=True)]
    there = [share for share in shares if share is not None]
    return shares, sum(there) / len(there) if there else 0.0
