"""mIoU with everything it was computed from."""

import logging
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info, get_world_size
from mmengine.logging import print_log
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS as MMSEG_METRICS
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..data.confusion import IGNORED, pair_counts_of_tensors
from ..data.masks import LabelError
from ..data.names import SUFFIX
from ..data.writing import write_encoded
from .class_scores import score_classes

_NAMED = 3  # Masks in a warning.


class _Strange(NamedTuple):
    """Labels of an image that are neither a class nor ignored; both numbers are where the label is, perhaps a device.

    Attributes:
        path: Of the mask, or else of the image.
        pixels: How many there are.
        id: The highest of them.
    """

    path: str
    pixels: Tensor
    id: Tensor


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """MMSegmentation's IoUMetric from one pass over the pixels, counting exactly and keeping all that was counted.

    MMSegmentation takes three histograms of an image and adds them up as fp32, which is exact up to 16.8 million
    pixels of a class. Here one confusion matrix is counted, where the prediction is, and a process keeps the sum.
    Threads may not share it.

    A class that is in the labels and never predicted counts as 0 in every mean, in those of F-score and precision, too,
    where MMSegmentation leaves it out; a class that is in neither is left out of all. (Accuracy and recall are of the
    labelled pixels, so a class without any is in none of their means.)

    Labels that are neither a class nor ``ignore_index`` are counted as MMSegmentation does, as pixels of no class that
    are predicted wrongly; a warning at the end names their masks and ids.

    Args:
        **kwargs: Arguments of mmseg's ``IoUMetric``.

    Attributes:
        per_class: After evaluation, for every class by name: ``IoU``, ``Acc`` and, if they are among the metrics,
            ``Dice``, ``Fscore``, ``Precision`` and ``Recall`` in percent (None for a class that is not there), and the
            number of pixels that are ``labelled``, ``predicted`` and ``correct``. Pixels that are ignored, such as the
            border around Pascal VOC's objects, are in none of them.
        confusion: After evaluation, in the main process, (C, C): pixels of label i (row) predicted as class j
            (column). Pixels whose label or prediction is none of the C classes are left out, though the other of the
            two is in ``per_class``. (0, 0) before.
        output_names: Names, without suffix, of the files in ``output_dir`` by ``img_path``; an image that is not
            here is written under its stem.
    """

    per_class: dict[str, dict[str, Any]]
    confusion: NDArray[np.int64]
    output_names: dict[str, str]
    total_area_to_metrics = staticmethod(score_classes)  # What mmseg takes means of and prints.

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_class = {}
        self.confusion = np.zeros((0, 0), np.int64)
        self.output_names = {}
        self._images = 0
        self._strange: list[_Strange] = []
        self._counting: deque[Future[Tensor]] = deque()
        self._pool: ThreadPoolExecutor | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the pixels of a batch and, with an ``output_dir``, write its predictions.

        Args:
            data_batch: Not read.
            data_samples: With ``pred_sem_seg.data`` and, unless ``format_only``, ``gt_sem_seg.data``: class ids,
                (1, H, W) or (H, W), of any dtype.

        Raises:
            LabelError: The prediction and the label of an image have different sizes; it names the mask.
        """
        for sample in data_samples:
            prediction = _as_map(sample["pred_sem_seg"]["data"])
            if not self.format_only:
                self._count(sample["gt_sem_seg"]["data"], prediction, sample)
            if self.output_dir is not None:
                self._write(prediction, sample)

    def evaluate(self, size: int) -> dict[str, float]:
        """Metrics of the whole data set, from what all processes counted.

        Args:
            size: Number of images of the data set.

        Returns:
            The metrics, in percent.

        Raises:
            ValueError: More images were counted than the data set has.
        """
        self._collect(leave=0)
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        rank, world_size = get_dist_info()
        # Images are dealt out in turn, and the first ones again until each process has as many: one too many at most.
        surplus = self._images - max(0, -((rank - size) // world_size))
        if surplus > 1:
            raise ValueError(
                f"Process {rank} of {world_size} scored {self._images} images of a data set of {size}: some were "
                "counted twice. Use sampler=dict(type='DefaultSampler', shuffle=False), and evaluate each run once."
            )
        if surplus == 1:
            self.results.pop()
        self._tell_strange()
        # MMEngine keeps the first ``size`` items of all processes: that is all, since no item is of less than an image.
        self._images = 0
        metrics: dict[str, float] = super().evaluate(size)
        return metrics

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Metrics in percent, over the classes that are there.

        Args:
            results: Counts of one or more images each, (C + 1, C + 1) int64 as of
                :func:`internvl_seg.data.confusion.pair_counts`.

        Returns:
            The metrics.
        """
        if self.format_only:
            return dict(super().compute_metrics(results))
        counts = sum(results)
        correct, predicted, labelled = counts.diagonal()[:-1], counts.sum(0)[:-1], counts.sum(1)[:-1]
        union = predicted + labelled - correct
        areas = (correct, union, predicted, labelled)
        if not counts.any():
            print_log(
                "There was nothing to score: all pixels of the masks are ignored, or there are none.",
                logger="current",
                level=logging.WARNING,
            )
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            metrics = super().compute_metrics([areas])
        self.confusion = counts[:-1, :-1].numpy()
        # IoU and accuracy always; what else is in the printed table.
        scores = self.total_area_to_metrics(*areas, ["mIoU", *self.metrics], self.nan_to_num, self.beta)
        scores.pop("aAcc")
        self.per_class = {
            name: {score: None if np.isnan(values[i]) else 100 * float(values[i]) for score, values in scores.items()}
            | {"labelled": int(labelled[i]), "predicted": int(predicted[i]), "correct": int(correct[i])}
            for i, name in enumerate(self.dataset_meta["classes"])
        }
        # Plain numbers: the best one goes into checkpoints, which hold nothing that needs code to be read.
        # MMSegmentation rounded them to two digits, but as fp32: 67.78 would be written as 67.77999877929688.
        return {name: round(float(value), 2) for name, value in metrics.items()}

    def _count(self, label: Tensor, prediction: Tensor, sample: dict[str, Any]) -> None:
        """Have the pixels of an image, (H, W), counted in a thread of its own, while the next is predicted."""
        label = self._comparable(label, prediction, sample)
        threads = torch.get_num_threads()
        self._pool = self._pool or ThreadPoolExecutor(threads)
        num_classes = len(self.dataset_meta["classes"])
        path = str(sample.get("seg_map_path") or sample.get("img_path", "an image"))

        def count() -> Tensor:
            counts = pair_counts_of_tensors(label, prediction, num_classes, self.ignore_index)
            # On a device nothing is asked for, which would wait.
            if counts.device.type != "cpu" or counts[-1].any():
                self._strange.append(_look_at_strange(path, label, num_classes, self.ignore_index))
            return counts

        self._counting.append(self._pool.submit(count))
        self._images += 1
        self._collect(leave=2 * threads)

    def _comparable(self, label: Tensor, prediction: Tensor, sample: dict[str, Any]) -> Tensor:
        """The label as (H, W), if it has the prediction's size.

        Raises:
            LabelError: It has another.
        """
        if label.numel() == prediction.numel() and label.shape[-2:] == prediction.shape:
            return _as_map(label)
        path = sample.get("seg_map_path") or f"the mask of {sample.get('img_path', 'an image')}"
        height, width = prediction.shape
        if label.ndim > 3 or (label.ndim == 3 and 1 not in (label.shape[0], label.shape[-1])):
            raise LabelError(
                f"{path} has {label.shape[-1]} channels, shape {tuple(label.shape)}; expected ids of classes in one "
                f"channel, {height} x {width} (height x width). Colours have to be turned into ids first."
            )
        found = tuple(label.shape[-2:] if label.shape[-1] != 1 else label.shape[:2])
        resized = tuple(sample.get("img_shape") or ())[:2] == found and _resized(sample)
        advice = (
            "The mask was resized with the picture: put LoadAnnotations after Resize in the test pipeline."
            if resized
            else "The mask must have the size of its picture: make it anew from the source, without resizing."
        )
        raise LabelError(
            f"{path}: the prediction has {height} x {width} pixels (height x width), as the picture "
            f"{sample.get('img_path', '')} has, but the mask {found[0]} x {found[1]}. {advice}"
        )

    def _tell_strange(self) -> None:
        """Warn of labels that are neither a class nor ignored, in the masks of all processes."""
        found = [(one.path, int(one.pixels), int(one.id)) for one in self._strange]
        self._strange = []
        classes = self.dataset_meta["classes"]
        if self.ignore_index == IGNORED < len(classes):
            print_log(
                f"ignore_index={IGNORED} is one of the {len(classes)} classes, {classes[IGNORED]!r}: its pixels are "
                "not scored. Set ignore_index in the evaluator to an id that no mask holds, such as 65535.",
                logger="current",
                level=logging.WARNING,
            )
        told = [one for one in found if one[1]]
        if get_world_size() > 1:
            told = [one for part in all_gather_object(told) for one in part]
        if told:
            paths = "; ".join(f"{path} (id {number})" for path, _, number in sorted(told)[:_NAMED])
            more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
            print_log(
                f"{sum(pixels for _, pixels, _ in told):,} labelled pixels are neither one of the "
                f"{len(self.dataset_meta['classes'])} classes, counted from 0, nor ignore_index={self.ignore_index}: "
                f"{paths}{more}. They count as errors of the class that is predicted there. Set ignore_index, or "
                "correct the masks or the list of classes.",
                logger="current",
                level=logging.WARNING,
            )

    def _collect(self, leave: int) -> None:
        """Add counts that are ready to the results: the sum of all images but the last, and the last."""
        while len(self._counting) > leave:
            counts = self._counting.popleft().result()
            if len(self.results) == 2:
                self.results[0] += self.results.pop()
            self.results.append(counts)

    def _write(self, prediction: Tensor, sample: dict[str, Any]) -> None:
        """Write predicted ids, (H, W), as the data set's masks have them: with 16 bits where 8 do not hold all."""
        name = self.output_names.get(sample["img_path"], Path(sample["img_path"]).stem)
        # Masks with reduce_zero_label have 0 for what is no class.
        first = int(sample.get("reduce_zero_label", False))
        dtype = np.uint8 if len((self.dataset_meta or {}).get("classes") or ()) + first <= 256 else np.uint16
        ids = prediction.long().cpu().numpy() + first
        picture = Image.fromarray(ids.astype(dtype))
        write_encoded(Path(self.output_dir, name + SUFFIX), partial(picture.save, format="PNG"))


def _as_map(ids: Tensor) -> Tensor:
    """(1, H, W) as (H, W)."""
    return ids.reshape(ids.shape[-2:])


def _resized(sample: dict[str, Any]) -> bool:
    """Whether the model saw an image in another size than it has."""
    return tuple(sample.get("img_shape") or ())[:2] != tuple(sample.get("ori_shape") or ())[:2]


def _look_at_strange(path: str, label: Tensor, num_classes: int, ignored: int) -> _Strange:
    """Labels that are no class and not ignored, without waiting for a device."""
    ids = label.to(torch.int64)
    strange = (ids != ignored) & ((ids < 0) | (ids >= num_classes))
    lowest = torch.iinfo(torch.int64).min
    return _Strange(path, strange.sum(), torch.where(strange, ids, lowest).max())


# Where a config names MMSegmentation's metric, ours counts: the same figures, and the same files of results.
MMSEG_METRICS.register_module(name="IoUMetric", module=SegmentationMetric, force=True)
