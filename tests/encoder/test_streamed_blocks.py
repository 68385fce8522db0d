"""Blocks that are read while others compute give what they give in memory."""

import copy
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from internvl_seg import InternViT
from internvl_seg.checkpoints.loading import give_memory
from internvl_seg.encoder.streamed_blocks import StreamedBlocks

from ..error_table import DocumentedError

Build = Callable[..., InternViT]


class Streamed(NamedTuple):
    """An encoder, the same with blocks that are read, and the list of those that were."""

    whole: InternViT
    encoder: InternViT
    read: list[int]


Stream = Callable[[int], Streamed]


@pytest.fixture
def stream(build: Build, architecture: dict[str, Any]) -> Stream:
    """Make such a pair, of five blocks, by how many may be in memory."""

    def make(in_memory: int) -> Streamed:
        whole = build(depth=5)
        read: list[int] = []

        def fetch(number: int, block: nn.Module) -> None:
            read.append(number)
            block.load_state_dict(whole.blocks[number].state_dict())

        with torch.device("meta"):
            empty = InternViT(**architecture | {"depth": 5})
        encoder = copy.deepcopy(whole)
        encoder.blocks = StreamedBlocks(empty.blocks, fetch, partial(give_memory, dtype=torch.float32), in_memory)
        return Streamed(whole, encoder.requires_grad_(False).eval(), read)

    return make


@torch.no_grad()
@pytest.mark.parametrize("in_memory", [1, 2, 3, 4, 5, 9])
def test_maps_are_those_of_blocks_in_memory(in_memory: int, stream: Stream) -> None:
    images = torch.randn(3, 3, 28, 56)
    whole, streamed, read = stream(in_memory)
    for indices in ([0, 2, 4], [1], [4]):
        got = streamed.forward_intermediates(images, indices)
        one_by_one = [whole.forward_intermediates(image, indices) for image in images.split(1)]
        for maps, want in zip(got, map(torch.cat, zip(*one_by_one, strict=True)), strict=True):
            assert torch.equal(maps, want)
    kept = min(in_memory, 5) if in_memory >= 5 else max(in_memory - 2, 0)
    sweeps = [range(kept, last + 1) for last in (4, 1, 4)]  # Three images share each; none goes too far.
    assert read == list(chain(range(kept), *sweeps))


def test_no_more_blocks_have_memory_than_allowed(stream: Stream) -> None:
    streamed = stream(3).encoder
    assert all(parameter.is_meta for block in list(streamed.blocks)[1:] for parameter in block.parameters())
    with streamed.blocks.in_turn(5) as turn:
        assert len({id(block) for block in turn}) == 3


def test_the_next_is_read_while_one_computes(stream: Stream) -> None:
    _, streamed, read = stream(2)
    with streamed.blocks.in_turn(5) as turn:
        next(turn)
        deadline = time.monotonic() + 10
        while len(read) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert read == [0, 1]  # And no further: there is no place for it.


@torch.no_grad()
def test_a_reader_that_fails_is_heard(stream: Stream) -> None:
    streamed = stream(2).encoder

    def fail(number: int, block: nn.Module) -> None:
        raise OSError("the disk is gone")

    streamed.blocks.read = fail
    with pytest.raises(OSError, match="the disk is gone"):
        streamed(torch.randn(1, 3, 28, 28))


@torch.no_grad()
def test_it_can_be_converted(stream: Stream) -> None:
    whole, streamed, _ = stream(3)
    images = torch.randn(1, 3, 28, 28, dtype=torch.float64)
    assert torch.equal(streamed.double()(images), whole.double()(images))


def test_nothing_is_learnt_and_nothing_dropped(stream: Stream) -> None:
    streamed = stream(3).encoder.train()
    with streamed.blocks.in_turn(5) as turn:
        blocks = list(turn)
    assert not any(block.training for block in (*blocks, *streamed.blocks))
    assert not streamed(torch.randn(1, 3, 28, 28)).requires_grad


def test_a_block_at_least(stream: Stream, documented_error: DocumentedError) -> None:
    with documented_error("no block in memory", ValueError):
        stream(0)
