"""Top-1 and top-5 accuracy on ImageNet and its variants, each by its own rules, in one pass over all of them."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from timm.data.real_labels import RealLabelsImagenet
from torch import Tensor

from ..common.finite import check_finite
from .layout import LayoutError
from .variants import REAL_TITLE, VARIANTS

_FILE = "ILSVRC2012_val_{:08d}.JPEG"
_IMAGES = VARIANTS["imagenet"].images
_KS = (1, 5)


def read_real_labels(source: str) -> dict[str, list[int]]:
    """The reassessed labels of ImageNet's validation images (arXiv 2006.07159), by the image's file name.

    Args:
        source: ``real.json`` of google-research/reassessed-imagenet, or 'timm' for the copy that comes with timm.

    Raises:
        LayoutError: The file is missing, or holds anything else.
    """
    if source == "timm":
        return dict(RealLabelsImagenet([""] * _IMAGES).real_labels)
    path = Path(source).expanduser()
    what = "a list of 50,000 lists of labels from 0 to 999, one an image"
    if not path.is_file():
        raise LayoutError(f"{REAL_TITLE}: there is no {path}. Expected real.json with {what}, or real_labels='timm'.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LayoutError(f"{path} is no JSON: {error}. Expected {what}.") from error
    if not isinstance(content, list) or len(content) != _IMAGES:
        size = f" of {len(content):,}" if isinstance(content, (list, dict)) else ""
        raise LayoutError(f"{path} holds a {type(content).__name__}{size}. Expected {what}.")
    for number, labels in enumerate(content):
        if not isinstance(labels, list) or any(type(i) is not int or not 0 <= i < 1000 for i in labels):
            raise LayoutError(f"{path}: entry {number} is {str(labels)[:60]}. Expected {what}.")
    return {_FILE.format(number): labels for number, labels in enumerate(content, start=1)}


@METRICS.register_module()
class ImageNetAccuracy(BaseMetric):
    """Top-1 and top-5 accuracy in percent, ``<variant>/top1`` and ``<variant>/top5``.

    A prediction counts if it is among an image's labels. On ImageNet-A and ImageNet-R only their 200 classes can be
    predicted. With ``real_labels`` the images of ImageNet-1K are scored a second time, as ``imagenet_real``; those
    without a reassessed label are left out. On ObjectNet all 1000 classes can be predicted. Threads may not share it.

    Args:
        real_labels: As :func:`read_real_labels` takes them; no ImageNet-ReaL if None.
        published: For the table: top-1 and, if known, top-5 by variant, and their ``source``.
        collect_device: As of MMEngine's metrics.
        prefix: As of MMEngine's metrics.

    Raises:
        LayoutError: The reassessed labels are missing or wrong.
    """

    def __init__(
        self,
        real_labels: str | None = None,
        published: Mapping[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.published = dict(published or {})
        self._real = None if real_labels is None else read_real_labels(real_labels)
        self._masks = {name: torch.tensor(row.ids) for name, row in VARIANTS.items() if len(row.ids) < 1000}
        self.counts: dict[str, int] = {}

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Score a batch.

        Args:
            data_batch: Unused.
            data_samples: Predictions of the model, with the ``variant`` and ``img_path`` that ``PackInputs`` kept.
        """
        for sample in data_samples:
            scores, variant = sample["pred_score"].float().cpu(), sample["variant"]
            where = f"{sample.get('img_path', 'An image')}: the scores"
            check_finite(scores, where, "Look at the checkpoint's weights; float16 may overflow, bfloat16 does not.")
            if len(scores) != 1000:
                raise ValueError(f"The model has {len(scores)} classes; ImageNetAccuracy scores the 1000 of ImageNet.")
            best = self._best(scores, variant)
            hits = {variant: _hits(best, sample["gt_label"].tolist())}
            if variant == "imagenet" and self._real is not None and (labels := self._real_of(sample["img_path"])):
                hits["imagenet_real"] = _hits(best, labels)
            # One entry an image, so that those which a sampler repeats to fill its batches are dropped.
            self.results.append(hits)

    def _best(self, scores: Tensor, variant: str) -> list[int]:
        """The most likely classes, best first."""
        mask = self._masks.get(variant)
        found = (scores if mask is None else scores[mask]).topk(max(_KS)).indices
        return (found if mask is None else mask[found]).tolist()

    def _real_of(self, path: str) -> list[int]:
        found = re.search(r"ILSVRC2012_val_\d{8}", path)
        assert self._real is not None
        if found is None or (name := f"{found[0]}.JPEG") not in self._real:
            raise LayoutError(
                f"{path} is none of ILSVRC2012_val_00000001.JPEG to ..._00050000.JPEG; {REAL_TITLE} goes by names."
            )
        return self._real[name]

    def compute_metrics(self, results: list[dict[str, tuple[bool, ...]]]) -> dict[str, float]:
        """Accuracies in percent of all images.

        Args:
            results: Top-1 and top-5 hit of every image, by the data sets that it is in.
        """
        metrics: dict[str, float] = {}
        self.counts = {}
        for name in (*VARIANTS, "imagenet_real"):
            rows = [hits[name] for hits in results if name in hits]
            if rows:
                self.counts[name] = len(rows)
                for k, found in zip(_KS, zip(*rows, strict=True), strict=True):
                    metrics[f"{name}/top{k}"] = 100 * sum(found) / len(rows)
        return metrics


def _hits(best: Sequence[int], labels: Sequence[int]) -> tuple[bool, ...]:
    """Whether one of the labels is among the k best, for each k."""
    return tuple(bool(set(best[:k]) & set(labels)) for k in _KS)
