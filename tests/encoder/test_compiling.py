"""Blocks compiled in place."""

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from internvl_seg.encoder import InternViT
from internvl_seg.encoder.compiling import compile_blocks

from .conftest import TINY, randomize


def compiled_copy(encoder: InternViT) -> InternViT:
    torch.compiler.reset()
    twin = copy.deepcopy(encoder)
    compile_blocks(twin)
    return twin


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[fx.GraphModule]:
    """What reaches the compiler, which then runs it as it is."""
    seen: list[fx.GraphModule] = []

    def record(graph: fx.GraphModule, inputs: list[Tensor], **options: Any) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", record)
    return seen


def test_answers_at_all_sizes(build: Callable[..., InternViT], close: Callable[..., None]) -> None:
    encoder = build()
    twin = compiled_copy(encoder)
    with torch.no_grad():
        for count, size in enumerate([(42, 56), (70, 28), (42, 42)]):
            images = torch.randn(2, 3, *size)
            # One graph for all blocks and sizes.
            with torch.compiler.set_stance("fail_on_recompile") if count else contextlib.nullcontext():
                close(twin(images), encoder(images))


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients(recompute: bool, close: Callable[..., None]) -> None:
    encoder = InternViT(**TINY, grad_checkpointing=recompute)
    randomize(encoder)
    twin = compiled_copy(encoder)
    images = torch.randn(2, 3, 28, 42)
    encoder(images).square().sum().backward()
    # All but the code generator, which takes seconds.
    with torch.compiler.set_stance("default", force_backend="aot_eager"):
        twin(images).square().sum().backward()
    for got, want in zip(twin.parameters(), encoder.parameters(), strict=True):
        assert got.grad is not None
        assert want.grad is not None
        scale = want.grad.abs().max()
        close(got.grad / scale, want.grad / scale)


def test_one_graph_is_shared(graphs: list[fx.GraphModule], build: Callable[..., InternViT]) -> None:
    twin = compiled_copy(build(depth=12))
    with torch.no_grad():
        twin(torch.randn(2, 3, 28, 42))
        twin(torch.randn(2, 3, 42, 14))
    assert len(graphs) == 1


def test_a_graph_for_each_rate_of_stochastic_depth(
    graphs: list[fx.GraphModule], build: Callable[..., InternViT]
) -> None:
    # More rates than the compiler makes graphs of one function if it is not told to.
    twin = compiled_copy(build(depth=12, drop_path_rate=0.4).train())
    with torch.no_grad():
        twin(torch.randn(2, 3, 28, 42))
        twin(torch.randn(2, 3, 42, 14))
    assert len(graphs) == 12


def test_names_stay(build: Callable[..., InternViT]) -> None:
    encoder = build()
    twin = compiled_copy(encoder)
    assert list(twin.state_dict()) == list(encoder.state_dict())
    assert [name for name, _ in twin.named_modules()] == [name for name, _ in encoder.named_modules()]
    twin.load_state_dict(encoder.state_dict())
