"""Blocks that are read while others compute give what they give in memory."""

import copy
import pickle
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


@pytest.mark.parametrize("in_memory", [1, 3, 9])
@pytest.mark.parametrize("of", ["the images", "a block", "the embedding"])
def test_gradients_are_refused(of: str, in_memory: int, stream: Stream) -> None:
    _, encoder, _ = stream(in_memory)
    images = torch.randn(1, 3, 28, 28, requires_grad=of == "the images")
    if of == "a block":
        encoder.blocks.requires_grad_(True)
    elif of == "the embedding":
        encoder.pos_embed.requires_grad_(True)
    with pytest.raises(RuntimeError, match=r"blocks_in_memory.*torch\.no_grad\(\)"):
        encoder(images)
    for without in (torch.no_grad(), torch.inference_mode()):
        with without:
            assert encoder(images).isfinite().all()


def test_a_state_dict_that_would_be_lost_is_refused(stream: Stream) -> None:
    whole, encoder, _ = stream(3)
    for other in (whole, stream(3).encoder):
        with pytest.raises(RuntimeError, match=r"blocks\.1\.\S+ cannot be loaded.*without blocks_in_memory"):
            encoder.load_state_dict(other.state_dict())
    wanted = encoder(torch.ones(1, 3, 28, 28))
    encoder.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(torch.ones(1, 3, 28, 28)), wanted)
    kept = {name: tensor for name, tensor in whole.state_dict().items() if not name.startswith("blocks.")}
    encoder.load_state_dict(kept | {"pos_embed": torch.zeros_like(whole.pos_embed)}, strict=False)
    assert not encoder.pos_embed.any()
    everything = stream(5).encoder  # Whose blocks are in memory, all of them.
    state = {name: torch.full_like(tensor, 0.5) for name, tensor in whole.state_dict().items()}
    everything.load_state_dict(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in everything.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("of", ["blocks.3", "blocks.2.attn"])
def test_hooks_that_would_never_run_are_refused(of: str, stream: Stream) -> None:
    encoder, images, seen = stream(3).encoder, torch.randn(1, 3, 28, 28), []
    encoder.blocks[0].register_forward_hook(lambda *_: seen.append(0))  # It stays in memory.
    encoder(images)
    hook = encoder.get_submodule(of).register_forward_pre_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match=rf"{of} has hooks, which would never run"):
        encoder(images)
    hook.remove()
    encoder(images)
    assert seen == [0, 0]


@torch.no_grad()
def test_changed_parameters_are_refused(stream: Stream) -> None:
    _, encoder, _ = stream(3)
    encoder.blocks[0].ls1.gamma.mul_(2)  # It stays in memory.
    images = torch.randn(1, 3, 28, 28)
    copies = [copy.deepcopy(encoder) for _ in range(2)]
    wanted = encoder(images)
    encoder.blocks[3].ls1.gamma.zero_()
    copies[0].blocks[4].mlp.fc1.weight = nn.Parameter(torch.zeros_like(encoder.blocks[0].mlp.fc1.weight))
    for changed, name in ((encoder, "3.ls1.gamma"), (copies[0], "4.mlp.fc1.weight")):
        with pytest.raises(RuntimeError, match=rf"blocks\.{name} was changed or replaced"):
            changed(images)
    assert torch.equal(copies[1](images), wanted)


def test_it_is_not_pickled(stream: Stream) -> None:
    with pytest.raises(pickle.PicklingError, match=r"blocks_in_memory.*load the encoder again"):
        pickle.dumps(stream(3).encoder)
