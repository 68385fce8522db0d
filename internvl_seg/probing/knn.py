"""k nearest neighbours by cosine, as DINO and DINOv2 score frozen encoders."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# Similarities that are held at once.
_CHUNK = 1 << 24


@torch.no_grad()
def knn_votes(
    train: Tensor,
    train_labels: Tensor,
    queries: Tensor,
    num_classes: int,
    neighbours: Sequence[int],
    temperature: float = 0.07,
) -> dict[int, Tensor]:
    """Let the nearest neighbours of every query vote for their class, the nearer the louder.

    A neighbour's vote is the softmax, over the neighbours, of its cosine similarity divided by the temperature.
    Source: facebookresearch/dinov2 ``dinov2/eval/knn.py``.

    Args:
        train: (N, C) float32.
        train_labels: (N,) int64, from 0.
        queries: (M, C) float32.
        num_classes: K.
        neighbours: How many vote; all of these numbers are tried in one search.
        temperature: The lower, the more the nearest decide.

    Returns:
        By number of neighbours, the votes, (M, K) float32.

    Raises:
        ValueError: There are fewer training vectors than neighbours.
    """
    most = max(neighbours)
    if most > len(train):
        raise ValueError(
            f"{most} neighbours are asked for, but there are {len(train)} training images: let neighbours be at most "
            f"{len(train)}."
        )
    train, queries = F.normalize(train, dim=1), F.normalize(queries, dim=1)
    votes: dict[int, list[Tensor]] = {k: [] for k in neighbours}
    for part in queries.split(max(_CHUNK // len(train), 1)):
        # Sorted stably, so that of equally near ones the first counts.
        similarity, index = (part @ train.T).sort(dim=1, descending=True, stable=True)
        similarity, labels = similarity[:, :most], train_labels[index[:, :most]]
        for k, found in votes.items():
            weights = (similarity[:, :k] / temperature).softmax(1)
            found.append(weights.new_zeros(len(part), num_classes).scatter_add_(1, labels[:, :k], weights))
    return {k: torch.cat(found) for k, found in votes.items()}
