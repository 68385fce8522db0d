"""Bytes are counted as tensors come and go."""

import torch

from internvl_seg.segmentation.live_bytes import LiveBytes


def test_views_of_weights_are_no_new_memory() -> None:
    weight = torch.zeros(1000, 10)
    with LiveBytes([weight]) as live:
        product = torch.zeros(5, 10) @ weight.t()
    assert live.peak() == (50 + product.numel()) * 4


def test_what_is_gone_no_longer_counts() -> None:
    with LiveBytes([]) as live:
        first = torch.zeros(1000)
        second = first + 1
        del first
        third = second.view(10, 100) * 2
        del second, third
        torch.zeros(10)
    assert live.peak() == 8000


def test_gradients_count_by_their_share() -> None:
    with LiveBytes([]) as live:
        gradient = torch.zeros(1000)
        live.settle(gradient)
        other = torch.zeros(500)
        del gradient, other
        torch.zeros(900)
    assert live.peak() == 6000
    assert live.peak(0.5) == 4000
    # While it was made it was not known to be a gradient.
    assert live.peak(0) == 4000
