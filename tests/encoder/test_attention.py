"""Every kernel that runs anywhere against the definition, and what a compiler or exporter gets to see."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, fx

from internvl_seg.encoder import KERNELS, attention
from internvl_seg.encoder.attention import check_kernel
from internvl_seg.encoder.block import Block
from internvl_seg.encoder.kernels import RUN_ANYWHERE

# By its name: the package's attribute ``attention`` is the function.
MODULE = importlib.import_module("internvl_seg.encoder.attention")


def definition(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention in float64, written in another way than any kernel."""
    scores = torch.einsum("bnhd,bmhd->bhnm", q.double(), k.double()) / q.shape[-1] ** 0.5
    weights = (scores - scores.logsumexp(dim=-1, keepdim=True)).exp()
    return torch.einsum("bhnm,bmhd->bnhd", weights, v.double())


def projected(batch: int, tokens: int, keys: int, heads: int, dim: int, scale: float = 1.0) -> list[Tensor]:
    """Queries, keys and values as views into a fused projection's output, as they come in an encoder."""
    width = heads * dim
    q = (scale * torch.randn(batch, tokens, 3 * width)).chunk(3, dim=-1)[0]
    _, k, v = (scale * torch.randn(batch, keys, 3 * width)).chunk(3, dim=-1)
    return [t.unflatten(-1, (heads, dim)) for t in (q, k, v)]


shapes = {
    "batch": st.integers(1, 3),
    "tokens": st.integers(1, 40),
    "keys": st.integers(1, 40),
    "heads": st.integers(1, 3),
    "dim": st.integers(1, 20),
}


class TestKernels:
    """All of them give what the definition gives, for any shape."""

    @pytest.mark.parametrize("kernel", [*RUN_ANYWHERE, "auto"])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
    @given(**shapes)
    def test_any_shape(
        self,
        kernel: str,
        dtype: torch.dtype,
        tolerance: float,
        batch: int,
        tokens: int,
        keys: int,
        heads: int,
        dim: int,
        close: Callable[..., None],
    ) -> None:
        q, k, v = (t.to(dtype) for t in projected(batch, tokens, keys, heads, dim))
        before = [t.clone() for t in (q, k, v)]
        want = definition(q, k, v).float()
        with torch.no_grad():
            got = attention(q, k, v, kernel)
        assert got.dtype == dtype
        close(got.float(), want, tolerance)
        # Kernels that work in place do so on tensors of their own.
        assert all(torch.equal(t, copy) for t, copy in zip((q, k, v), before, strict=True))

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_large_scores_do_not_overflow(self, kernel: str, close: Callable[..., None]) -> None:
        q, k, v = projected(1, 9, 9, 2, 8, scale=20.0)
        with torch.no_grad():
            close(attention(q, k, v, kernel), definition(q, k, v).float(), 1e-4)

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_scores_of_a_large_image(self, kernel: str, close: Callable[..., None]) -> None:
        # More keys than a block of any fused kernel holds.
        q, k, v = projected(1, 1025, 1025, 1, 16)
        with torch.no_grad():
            close(attention(q, k, v, kernel), definition(q, k, v).float())

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_gradients_in_float64(self, kernel: str) -> None:
        inputs = [t.double().requires_grad_() for t in projected(2, 3, 5, 2, 4)]
        assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, kernel), inputs, fast_mode=True)

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    @pytest.mark.parametrize("learned", [0, 1, 2])
    def test_gradient_of_one_input_alone(self, kernel: str, learned: int, close: Callable[..., None]) -> None:
        inputs = projected(2, 7, 7, 2, 4)
        inputs[learned].requires_grad_()
        (got,) = torch.autograd.grad(attention(*inputs, kernel).square().sum(), inputs[learned])
        (want,) = torch.autograd.grad(definition(*inputs).square().sum(), inputs[learned])
        close(got, want)

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_gradients_reach_a_fused_projection(self, kernel: str, close: Callable[..., None]) -> None:
        qkv = torch.randn(2, 5, 24, requires_grad=True)

        def run(name: str) -> Tensor:
            q, k, v = (t.unflatten(-1, (2, 4)) for t in qkv.chunk(3, dim=-1))
            return torch.autograd.grad(attention(q, k, v, name).square().sum(), qkv)[0]

        close(run(kernel), run("plain"))

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_heads_of_half_precision_training(self, kernel: str, close: Callable[..., None]) -> None:
        inputs = [t.bfloat16().requires_grad_() for t in projected(1, 17, 17, 2, 8)]
        got = torch.autograd.grad(attention(*inputs, kernel).float().square().sum(), inputs)
        want = torch.autograd.grad(definition(*inputs).square().sum(), inputs)
        for one, other in zip(got, want, strict=True):
            close(one.float(), other.float(), 3e-2)


class TestNames:
    """A name that cannot be meant is refused early."""

    def test_unknown(self) -> None:
        names = "plain, sdpa, sdpa_float32, per_head, sdpa_cudnn, flash_attn, flash_attn_3"
        with pytest.raises(ValueError, match=rf"'fast' is not a kernel.*'auto'.*{names}"):
            check_kernel("fast")

    @pytest.mark.parametrize("name", ["auto", *RUN_ANYWHERE])
    def test_known(self, name: str) -> None:
        check_kernel(name)


@pytest.fixture
def picks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the table pick a kernel."""
    return lambda kernel: monkeypatch.setattr(MODULE, "choose_kernel", lambda device, dtype: kernel)


class TestAuto:
    """'auto' runs what the table picks if it takes the tensors."""

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_runs_the_choice(
        self, kernel: str, picks: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, close: Callable[..., None]
    ) -> None:
        picks(kernel)
        called = []
        for name, run in list(KERNELS.items()):
            monkeypatch.setitem(KERNELS, name, lambda *qkv, name=name, run=run: (called.append(name), run(*qkv))[1])
        q, k, v = projected(1, 5, 5, 2, 4)
        close(attention(q, k, v), definition(q, k, v).float())
        attention(q, k, v, "plain")
        assert called == [kernel, "plain"]

    def test_asks_for_the_tensors_device_and_dtype(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(MODULE, "choose_kernel", lambda *what: (asked.append(what), "sdpa")[1])
        q, k, v = projected(1, 5, 5, 2, 4)
        attention(q, k, v)
        attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
        attention(q.to("meta"), k.to("meta"), v.to("meta"))
        cpu = torch.device("cpu")
        assert asked == [(cpu, torch.float32), (cpu, torch.bfloat16), (torch.device("meta"), torch.float32)]

    def test_a_choice_that_does_not_take_the_tensors(
        self, picks: Callable[[str], None], close: Callable[..., None]
    ) -> None:
        picks("flash_attn_3")
        q, k, v = projected(1, 5, 5, 2, 4)
        close(attention(q, k, v), definition(q, k, v).float())


def operations(graph: fx.Graph) -> set[str]:
    """Names of what a recorded graph calls."""
    return {str(node.target) for node in graph.nodes if node.op.startswith("call")}


class TestGraphs:
    """A compiler keeps the kernel where nothing is learned; an exporter gets PyTorch's operations."""

    @pytest.fixture
    def block(self, architecture: dict[str, Any]) -> Block:
        switches = {key: architecture[key] for key in ("norm", "qkv_bias", "qk_norm")}
        made = Block(16, 2, 4.0, init_values=0.1, drop_path=0.0, kernel="auto", **switches)
        return made.bfloat16().eval()

    def recorded(self, block: Block, x: Tensor) -> tuple[Tensor, set[str]]:
        """What a block gives when it is recorded whole and run as recorded, and the operations."""
        torch.compiler.reset()
        graphs: list[fx.GraphModule] = []
        backend = lambda graph, inputs: (graphs.append(graph), graph.forward)[1]  # noqa: E731 - a backend is a function
        out = torch.compile(block, fullgraph=True, backend=backend)(x)
        (graph,) = graphs
        return out, operations(graph.graph)

    def test_the_choice_is_one_operation(
        self, block: Block, picks: Callable[[str], None], close: Callable[..., None]
    ) -> None:
        picks("per_head")
        x = torch.randn(2, 7, 16).bfloat16()
        with torch.no_grad():
            got, names = self.recorded(block, x)
            close(got, block(x), 1e-2)
        assert "internvl_seg.per_head.default" in names
        assert not any("scaled_dot_product" in name or "softmax" in name for name in names)

    def test_compiled_for_real(self, block: Block, picks: Callable[[str], None], close: Callable[..., None]) -> None:
        picks("per_head")
        torch.compiler.reset()
        compiled = torch.compile(block, fullgraph=True, dynamic=True)
        with torch.no_grad():
            for tokens in (7, 12):
                x = torch.randn(2, tokens, 16).bfloat16()
                close(compiled(x), block(x), 1e-2)

    def test_what_is_learned_is_differentiated(
        self, block: Block, picks: Callable[[str], None], close: Callable[..., None]
    ) -> None:
        picks("per_head")
        x = torch.randn(2, 7, 16).bfloat16()
        got, names = self.recorded(block, x)
        assert not any("internvl_seg" in name for name in names)
        assert any("scaled_dot_product" in name for name in names)
        (gradient,) = torch.autograd.grad(got.float().square().sum(), block.attn.qkv.weight)
        (want,) = torch.autograd.grad(block(x).float().square().sum(), block.attn.qkv.weight)
        close(gradient, want, 5e-2)

    @pytest.mark.parametrize("kernel", ["per_head", "sdpa_float32"])
    @pytest.mark.parametrize("strict", [False, True])
    def test_exported(self, kernel: str, strict: bool, block: Block, picks: Callable[[str], None]) -> None:
        picks(kernel)
        x = torch.randn(2, 7, 16).bfloat16()
        with torch.no_grad():
            program = torch.export.export(block, (x,), strict=strict)
        names = operations(program.graph)
        assert "aten.scaled_dot_product_attention.default" in names
        assert not any("internvl_seg" in name or "softmax" in name for name in names)

    @pytest.mark.parametrize("kernel", ["per_head", "sdpa_float32"])
    def test_traced(self, kernel: str, picks: Callable[[str], None]) -> None:
        picks(kernel)
        inputs = tuple(t.bfloat16() for t in projected(1, 5, 5, 2, 4))
        with torch.no_grad():
            # Its own check compares with another kernel.
            traced = torch.jit.trace(attention, inputs, check_trace=False)
        kinds = [node.kind() for node in traced.graph.nodes()]
        assert "aten::scaled_dot_product_attention" in kinds
        assert "aten::softmax" not in kinds
        assert "aten::to" not in kinds

    @pytest.mark.parametrize("kernel", RUN_ANYWHERE)
    def test_compiled_by_name(self, kernel: str, close: Callable[..., None]) -> None:
        torch.compiler.reset()
        compiled = torch.compile(attention, fullgraph=True, dynamic=True, backend="eager")
        with torch.no_grad():
            for tokens in (5, 8):
                q, k, v = projected(2, tokens, tokens, 2, 4)
                close(compiled(q, k, v, kernel), definition(q, k, v).float())
