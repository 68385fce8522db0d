"""mIoU with everything it was computed from."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.registry import METRICS
from mmseg.evaluation import IoUMetric
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..data.confusion import pair_counts_of_tensors
from ..data.names import SUFFIX
from ..data.writing import whole_file


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """MMSegmentation's IoUMetric from one pass over the pixels, counting exactly and keeping all that was counted.

    MMSegmentation takes three histograms of an image and adds them up as fp32, which is exact up to 16.8 million
    pixels of a class. Here one confusion matrix is counted, where the prediction is, and a process keeps the sum.

    Args:
        **kwargs: Arguments of mmseg's ``IoUMetric``.

    Attributes:
        per_class: After evaluation, for every class by name: ``IoU`` and ``Acc`` in percent (None for a class that
            is not there), and the number of pixels that are ``labelled``, ``predicted`` and ``correct``. Pixels that
            are ignored, such as the border around Pascal VOC's objects, are in none of them.
        confusion: After evaluation, in the main process, (C, C): pixels of label i (row) predicted as class j
            (column). Pixels whose label or prediction is none of the C classes are left out, though the other of the
            two is in ``per_class``. (0, 0) before.
        output_names: Names, without suffix, of the files in ``output_dir`` by ``img_path``; an image that is not
            here is written under its stem.
    """

    per_class: dict[str, dict[str, Any]]
    confusion: NDArray[np.int64]
    output_names: dict[str, str]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_class = {}
        self.confusion = np.zeros((0, 0), np.int64)
        self.output_names = {}
        self._images = 0
        self._counting: deque[Future[Tensor]] = deque()
        self._pool: ThreadPoolExecutor | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the pixels of a batch and, with an ``output_dir``, write its predictions.

        Args:
            data_batch: Not read.
            data_samples: With ``pred_sem_seg.data`` and, unless ``format_only``, ``gt_sem_seg.data``: class ids,
                (1, H, W) or (H, W), of any dtype.

        Raises:
            ValueError: The prediction and the label of an image have different sizes; it names the image.
        """
        for sample in data_samples:
            prediction = _as_map(sample["pred_sem_seg"]["data"])
            if not self.format_only:
                self._count(_as_map(sample["gt_sem_seg"]["data"]), prediction, sample)
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
        metrics = super().compute_metrics([(correct, union, predicted, labelled)])
        self.confusion = counts[:-1, :-1].numpy()
        self.per_class = {
            name: {
                "IoU": 100 * c / u if u else None,
                "Acc": 100 * c / n if n else None,
                "labelled": n,
                "predicted": p,
                "correct": c,
            }
            for name, c, u, p, n in zip(
                self.dataset_meta["classes"], *(t.tolist() for t in (correct, union, predicted, labelled)), strict=True
            )
        }
        # Plain numbers: the best one goes into checkpoints, which hold nothing that needs code to be read.
        # MMSegmentation rounded them to two digits, but as fp32: 67.78 would be written as 67.77999877929688.
        return {name: round(float(value), 2) for name, value in metrics.items()}

    def _count(self, label: Tensor, prediction: Tensor, sample: dict[str, Any]) -> None:
        """Have the pixels of an image, (H, W), counted in a thread of its own, while the next is predicted."""
        if label.shape != prediction.shape:
            (height, width), (label_height, label_width) = prediction.shape, label.shape
            raise ValueError(
                f"{sample.get('img_path', 'An image')}: the prediction has {height} x {width} pixels (height x width), "
                f"but the label {label_height} x {label_width}. Predictions have the size of the image: the mask must "
                "have it too, so put LoadAnnotations after Resize in the test pipeline."
            )
        threads = torch.get_num_threads()
        self._pool = self._pool or ThreadPoolExecutor(threads)
        num_classes = len(self.dataset_meta["classes"])
        counting = self._pool.submit(pair_counts_of_tensors, label, prediction, num_classes, self.ignore_index)
        self._counting.append(counting)
        self._images += 1
        self._collect(leave=2 * threads)

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
        dtype = np.uint8 if len(self.dataset_meta["classes"]) + first <= 256 else np.uint16
        ids = prediction.long().cpu().numpy() + first
        with whole_file(Path(self.output_dir, name + SUFFIX)) as file:
            Image.fromarray(ids.astype(dtype)).save(file, format="PNG")


def _as_map(ids: Tensor) -> Tensor:
    """(1, H, W) as (H, W)."""
    return ids.reshape(ids.shape[-2:])
