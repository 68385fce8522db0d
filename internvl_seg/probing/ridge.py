"""Ridge regression to the classes, in closed form: a linear head without training."""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def fit_ridge(
    features: Tensor, labels: Tensor, num_classes: int, alphas: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """Fit the targets 1 (of the class) and -1 (of another one) with an intercept that is not penalised.

    All penalties share one eigendecomposition, of the smaller of the two Gram matrices. Source of the idea:
    google-research/big_vision ``big_vision/evaluators/fewshot_lsr.py``.

    Args:
        features: (N, C).
        labels: (N,) int64, from 0.
        num_classes: K.
        alphas: Penalties of the squared norm of the weights, above 0.

    Returns:
        For every alpha, weight (K, C) and bias (K,), both float64.

    Raises:
        ValueError: A penalty is not above 0.
    """
    if bad := [alpha for alpha in alphas if alpha <= 0]:
        raise ValueError(f"A ridge penalty of {bad[0]} is not above 0: there may be no one solution.")
    x = features.double()
    y = -torch.ones(len(x), num_classes, dtype=torch.float64)
    y[torch.arange(len(x)), labels] = 1
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    primal = x.shape[1] <= len(x)
    values, vectors = torch.linalg.eigh(x.T @ x if primal else x @ x.T)
    target = vectors.T @ (x.T @ y if primal else y)
    out = []
    for alpha in alphas:
        solved = vectors @ (target / (values.clamp(min=0) + alpha)[:, None])
        weight = solved.T if primal else solved.T @ x
        out.append((weight, y_mean - weight @ x_mean))
    return out
