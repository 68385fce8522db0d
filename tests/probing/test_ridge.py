"""Ridge regression against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from internvl_seg.probing.ridge import fit_ridge


@pytest.mark.parametrize(("count", "channels"), [(60, 12), (20, 50)])
@pytest.mark.parametrize("classes", [2, 5])
def test_scores_are_those_of_scikit_learn(count: int, channels: int, classes: int) -> None:
    features = torch.randn(count, channels) * 3 + 10
    labels = torch.arange(count) % classes
    alphas = [1e-2, 1.0, 1e3]
    rows = features.double().numpy()
    for alpha, (weight, bias) in zip(alphas, fit_ridge(features, labels, classes, alphas), strict=True):
        found = (features.double() @ weight.T + bias).numpy()
        wanted = RidgeClassifier(alpha=alpha).fit(rows, labels.numpy()).decision_function(rows)
        if classes == 2:  # Of two classes scikit-learn scores the second.
            wanted = np.stack([-wanted, wanted], axis=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_a_penalty_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="not above 0"):
        fit_ridge(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]), 2, [1.0, 0.0])
