"""The metric against MMSegmentation's, and where it is more exact."""

import json

import pytest
import torch
from mmseg.evaluation import IoUMetric
from torch import Tensor

from internvl_seg.training.metric import SegmentationMetric

CLASSES = ("road", "sky", "tree")


def counts(correct: list[int], predicted: list[int], labelled: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the metric holds of one image."""
    c, p, n = torch.tensor(correct), torch.tensor(predicted), torch.tensor(labelled)
    return c, p + n - c, p, n


def computed(results: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> tuple[dict[str, float], SegmentationMetric]:
    metric = SegmentationMetric()
    metric.dataset_meta = {"classes": CLASSES}
    return metric.compute_metrics(results), metric


def test_the_counts_are_those_of_mmsegmentation() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        predicted = torch.randint(0, 3, (13, 17), generator=generator)
        labelled = torch.randint(0, 4, (13, 17), generator=generator)
        labelled[labelled == 3] = 255
        ours = SegmentationMetric.intersect_and_union(predicted, labelled, 3, 255)
        theirs = IoUMetric.intersect_and_union(predicted, labelled, 3, 255)
        assert all(a.dtype == torch.int64 and a.tolist() == b.tolist() for a, b in zip(ours, theirs, strict=True))


def test_pixels_are_counted_past_what_fp32_holds() -> None:
    big = 2**24
    image = counts([big, 1, 0], [big, 1, 0], [big, 1, 0])
    one = counts([1, 0, 0], [1, 0, 0], [1, 0, 0])
    _, metric = computed([image, one])
    assert metric.per_class["road"]["correct"] == big + 1


@pytest.mark.parametrize("share", [6778, 5731, 6454, 1])
def test_scores_are_written_with_the_two_digits_that_are_printed(share: int) -> None:
    metrics, _ = computed([counts([share] * 3, [share] * 3, [10000] * 3)])
    assert json.dumps(metrics["mIoU"]) == str(share / 100)


def test_a_class_that_is_not_there_is_in_no_mean() -> None:
    metrics, metric = computed([counts([30, 10, 0], [50, 10, 0], [30, 30, 0])])
    assert metrics["mIoU"] == pytest.approx(100 * (30 / 50 + 10 / 30) / 2, abs=0.005)
    assert metric.per_class["tree"] == {"IoU": None, "Acc": None, "labelled": 0, "predicted": 0, "correct": 0}
    assert metric.per_class["sky"]["IoU"] == pytest.approx(100 / 3)
