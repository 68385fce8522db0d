"""k nearest neighbours against two loops."""

import math

import pytest
import torch
from torch.testing import assert_close

from internvl_seg.probing.knn import knn_votes


def slow_votes(train: list[list[float]], labels: list[int], query: list[float], k: int, classes: int) -> list[float]:
    """What DINOv2's k-NN computes, by hand."""

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

    nearest = sorted(((cosine(query, row), -i) for i, row in enumerate(train)), reverse=True)[:k]
    weights = [math.exp(similarity / 0.07) for similarity, _ in nearest]
    votes = [0.0] * classes
    for weight, (_, minus_index) in zip(weights, nearest, strict=True):
        votes[labels[-minus_index]] += weight / sum(weights)
    return votes


def test_votes_are_those_of_two_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    train, queries = torch.randn(40, 8), torch.randn(9, 8)
    labels = torch.randint(0, 5, (40,))
    monkeypatch.setattr("internvl_seg.probing.knn._CHUNK", 40 * 4)
    found = knn_votes(train, labels, queries, 5, [1, 7, 40])
    for k, votes in found.items():
        wanted = [slow_votes(train.tolist(), labels.tolist(), query, k, 5) for query in queries.tolist()]
        assert_close(votes, torch.tensor(wanted), rtol=1e-4, atol=1e-5)


def test_of_equally_near_ones_the_first_count() -> None:
    found = knn_votes(torch.ones(6, 2), torch.tensor([2, 2, 0, 0, 1, 1]), torch.ones(1, 2), 3, [2, 4])
    assert found[2].tolist() == [[0.0, 0.0, 1.0]]
    assert_close(found[4], torch.tensor([[0.5, 0.0, 0.5]]))


def test_more_neighbours_than_images() -> None:
    with pytest.raises(ValueError, match=r"200 neighbours .* 40 training images"):
        knn_votes(torch.randn(40, 8), torch.zeros(40, dtype=torch.int64), torch.randn(1, 8), 1, [10, 200])
