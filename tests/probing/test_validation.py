"""Counting and labelling validation images."""

import numpy as np
import pytest
import torch

from internvl_seg.encoder.classifier import TokenClassifier
from internvl_seg.probing.errors import StoreError
from internvl_seg.probing.feature_store import Sample
from internvl_seg.probing.features import norm_eps
from internvl_seg.probing.validation import Labeller, accuracy_and_mean, iou_and_mean


def sample(*ori_shape: int) -> Sample:
    return Sample({}, torch.zeros(ori_shape, dtype=torch.uint8), {"size": [28, 42], "ori_shape": list(ori_shape)})


def test_images_of_one_grid_and_other_sizes_have_matrices_of_their_own() -> None:
    labeller, logits = Labeller({"mode": "whole"}, 14, False), torch.randn(2, 3, 1, 2, 3)
    for shape in ((28, 42), (56, 84), (28, 42)):
        (first, second) = labeller(logits, sample(*shape))
        assert first.shape == second.shape == shape
        wanted = torch.nn.functional.interpolate(logits[:, :, 0], (28, 42), mode="bilinear")
        wanted = torch.nn.functional.interpolate(wanted, shape, mode="bilinear").argmax(1)
        assert (torch.from_numpy(np.stack([first, second])) == wanted).float().mean() > 0.999


def test_features_of_another_number_of_windows() -> None:
    with pytest.raises(StoreError, match=r"has features of 2 windows, expected 1 x 1"):
        Labeller({"mode": "whole"}, 14, False)(torch.randn(1, 3, 2, 2, 3), sample(28, 42))


def test_images_whose_label_is_no_class_count_as_wrong() -> None:
    counts = np.array([[2, 1, 0], [0, 3, 0], [1, 3, 0]])
    per_class, accuracy = accuracy_and_mean(counts)
    assert per_class == pytest.approx([100 * 2 / 3, 100.0])
    assert accuracy == pytest.approx(100 * 5 / 10)


def test_a_class_that_is_not_there_is_left_out() -> None:
    per_class, mean = iou_and_mean(np.array([[3, 1, 0, 0], [2, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    assert per_class == [pytest.approx(50.0), pytest.approx(100 * 6 / 9), None]
    assert mean == pytest.approx((50 + 100 * 6 / 9) / 2)


def test_vectors_are_normalised_as_official_classifiers_do() -> None:
    official = TokenClassifier(8, "cls_patch_concat", pool_heads=2, pool_dim=8, num_classes=3)
    assert norm_eps("tokens") == norm_eps("pooled") == official.norm.eps == 1e-6
    assert norm_eps("maps") == torch.nn.BatchNorm2d(1).eps == 1e-5
