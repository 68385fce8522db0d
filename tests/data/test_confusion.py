import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric

from internvl_seg.data.confusion import confusion_counts, iou_per_class


def test_counts_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 255, 2]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 2, 0]])
    np.testing.assert_array_equal(confusion_counts(truth, prediction, 3), [[1, 1, 0], [0, 2, 0], [1, 0, 0]])


def test_iou_is_that_of_mmseg() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (3, 30, 20))
    prediction = np.where((truth < 3) & (rng.random(truth.shape) < 0.4), truth, rng.integers(0, 3, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    metric = IoUMetric(iou_metrics=["mIoU"])
    metric.dataset_meta = {"classes": list("abcde")}
    MMLogger.get_current_instance()
    for t, p in zip(truth, prediction, strict=True):
        sample = {"gt_sem_seg": {"data": torch.from_numpy(t)}, "pred_sem_seg": {"data": torch.from_numpy(p)}}
        metric.process({}, [sample])
    iou = iou_per_class(sum(confusion_counts(t, p, 5) for t, p in zip(truth, prediction, strict=True)))
    assert np.isnan(iou[4])  # never labelled, never predicted
    assert iou[3] == 0  # labelled, never predicted
    assert float(metric.compute_metrics(metric.results)["mIoU"]) == pytest.approx(np.nanmean(iou), abs=0.005)


@pytest.mark.parametrize("which", ["labels", "prediction"])
def test_id_out_of_range_is_named(which: str) -> None:
    good, bad = np.array([0, 1]), np.array([0, 4])
    truth, prediction = (bad, good) if which == "labels" else (good, bad)
    with pytest.raises(ValueError, match=f"The {which} hold id 4, but there are 2 classes"):
        confusion_counts(truth, prediction, 2)


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="must match"):
        confusion_counts(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
