"""Scores of classes that are found, missed, or not there."""

import numpy as np
import pytest
import torch

from internvl_seg.training.class_scores import score_classes

# A class that is found in part, one that is missed, one that is predicted where it is not, one that is not there.
CORRECT, PREDICTED, LABELLED = (torch.tensor(n) for n in ([3, 0, 0, 0], [4, 0, 2, 0], [6, 3, 0, 0]))
AREAS = (CORRECT, PREDICTED + LABELLED - CORRECT, PREDICTED, LABELLED)
NAN = np.nan


def test_a_missed_class_is_0_in_every_score_and_an_absent_one_in_none() -> None:
    scores = score_classes(*AREAS, metrics=["mIoU", "mDice", "mFscore"])
    expected = {
        "aAcc": 3 / 9,
        "IoU": [3 / 7, 0, 0, NAN],
        "Acc": [1 / 2, 0, NAN, NAN],
        "Dice": [6 / 10, 0, 0, NAN],
        "Fscore": [6 / 10, 0, 0, NAN],
        "Precision": [3 / 4, 0, 0, NAN],
        "Recall": [1 / 2, 0, NAN, NAN],
    }
    assert scores.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-12, err_msg=name)


def test_beta_is_the_weight_of_the_recall() -> None:
    scores = score_classes(*AREAS, metrics="mFscore", beta=2)
    precision, recall = scores["Precision"][0], scores["Recall"][0]
    assert scores["Fscore"][0] == pytest.approx(5 * precision * recall / (4 * precision + recall))


def test_nan_can_be_a_number() -> None:
    assert score_classes(*AREAS, nan_to_num=-1)["IoU"].tolist() == [3 / 7, 0, 0, -1]


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(KeyError, match="'mAP' is not known; choose of mIoU, mDice and mFscore"):
        score_classes(*AREAS, metrics=["mIoU", "mAP"])
