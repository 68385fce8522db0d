"""Every kernel against the definition, and the choice among them."""

import importlib
import logging
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from internvl_seg.encoder import KERNELS, InternViT, KernelUnavailableError, attention
from internvl_seg.encoder.attention import _flash_attn_installed, check_kernel, choose_kernel

# By its name: the package's attribute ``attention`` is the function.
MODULE = importlib.import_module("internvl_seg.encoder.attention")
ON_CPU = [name for name in KERNELS if name != "flash_attn"]


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

    @pytest.mark.parametrize("kernel", [*ON_CPU, "auto"])
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

    @pytest.mark.parametrize("kernel", ON_CPU)
    def test_large_scores_do_not_overflow(self, kernel: str, close: Callable[..., None]) -> None:
        q, k, v = projected(1, 9, 9, 2, 8, scale=20.0)
        with torch.no_grad():
            close(attention(q, k, v, kernel), definition(q, k, v).float(), 1e-4)

    @pytest.mark.parametrize("kernel", ON_CPU)
    def test_scores_of_a_large_image(self, kernel: str, close: Callable[..., None]) -> None:
        # More keys than a block of any fused kernel holds.
        q, k, v = projected(1, 1025, 1025, 1, 16)
        with torch.no_grad():
            close(attention(q, k, v, kernel), definition(q, k, v).float())

    @pytest.mark.parametrize("kernel", ON_CPU)
    def test_gradients_in_float64(self, kernel: str) -> None:
        inputs = [t.double().requires_grad_() for t in projected(2, 3, 5, 2, 4)]
        assert torch.autograd.gradcheck(lambda q, k, v: attention(q, k, v, kernel), inputs, fast_mode=True)

    @pytest.mark.parametrize("kernel", ON_CPU)
    @pytest.mark.parametrize("learned", [0, 1, 2])
    def test_gradient_of_one_input_alone(self, kernel: str, learned: int, close: Callable[..., None]) -> None:
        inputs = projected(2, 7, 7, 2, 4)
        inputs[learned].requires_grad_()
        (got,) = torch.autograd.grad(attention(*inputs, kernel).square().sum(), inputs[learned])
        (want,) = torch.autograd.grad(definition(*inputs).square().sum(), inputs[learned])
        close(got, want)

    @pytest.mark.parametrize("kernel", ON_CPU)
    def test_gradients_reach_a_fused_projection(self, kernel: str, close: Callable[..., None]) -> None:
        qkv = torch.randn(2, 5, 24, requires_grad=True)

        def run(name: str) -> Tensor:
            q, k, v = (t.unflatten(-1, (2, 4)) for t in qkv.chunk(3, dim=-1))
            return torch.autograd.grad(attention(q, k, v, name).square().sum(), qkv)[0]

        close(run(kernel), run("plain"))

    @pytest.mark.parametrize("kernel", ON_CPU)
    def test_heads_of_half_precision_training(self, kernel: str, close: Callable[..., None]) -> None:
        inputs = [t.bfloat16().requires_grad_() for t in projected(1, 17, 17, 2, 8)]
        got = torch.autograd.grad(attention(*inputs, kernel).float().square().sum(), inputs)
        want = torch.autograd.grad(definition(*inputs).square().sum(), inputs)
        for one, other in zip(got, want, strict=True):
            close(one.float(), other.float(), 3e-2)


class TestNames:
    """A name that cannot be meant, or cannot run here, is refused early."""

    def test_unknown(self) -> None:
        with pytest.raises(
            ValueError, match=r"'fast' is not a kernel.*'auto'.*plain, sdpa, sdpa_float32, per_head, flash_attn"
        ):
            check_kernel("fast")

    @pytest.mark.parametrize("name", ["auto", *ON_CPU])
    def test_known(self, name: str) -> None:
        check_kernel(name)

    def test_flash_attn_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MODULE, "_flash_attn_installed", lambda: False)
        with pytest.raises(KernelUnavailableError, match="pip install flash-attn"):
            InternViT(img_size=28, embed_dim=8, depth=1, num_heads=1, attention="flash_attn")

    @pytest.mark.skipif(_flash_attn_installed(), reason="flash-attn is installed")
    def test_flash_attn_is_looked_for(self) -> None:
        with pytest.raises(KernelUnavailableError, match="flash-attn package, which is not installed"):
            check_kernel("flash_attn")

    def test_flash_attn_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MODULE, "_flash_attn_installed", lambda: True)
        check_kernel("flash_attn")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_flash_attn_on_the_wrong_device(self, dtype: torch.dtype) -> None:
        q, k, v = (t.to(dtype) for t in projected(1, 2, 2, 1, 4))
        with pytest.raises(KernelUnavailableError, match=rf"{dtype} on cpu.*attention='auto'"):
            attention(q, k, v, "flash_attn")


class TestChoice:
    """'auto' picks by device, dtype and instruction set, and says so."""

    @pytest.fixture(autouse=True)
    def _fresh(self) -> Iterator[None]:
        choose_kernel.cache_clear()
        yield
        # What was chosen for a pretended machine must not outlive the test.
        choose_kernel.cache_clear()

    @pytest.fixture
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Pretend a CPU with or without AMX or any bf16, and flash-attn installed or not."""

        def pretend(*, amx: bool = False, flash_attn: bool = False, bf16: bool = True) -> None:
            monkeypatch.setattr(MODULE, "has_bf16_products", lambda: bf16)
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx, "avx512_bf16": True})
            monkeypatch.setattr(MODULE, "_flash_attn_installed", lambda: flash_attn)

        return pretend

    @pytest.mark.parametrize(
        ("device", "dtype", "amx", "flash_attn", "kernel"),
        [
            ("cpu", torch.float32, False, False, "sdpa"),
            ("cpu", torch.float32, True, False, "sdpa"),
            ("cpu", torch.bfloat16, False, False, "per_head"),
            ("cpu", torch.bfloat16, True, False, "sdpa"),
            ("cpu", torch.bfloat16, True, True, "sdpa"),
            ("cuda", torch.bfloat16, False, True, "flash_attn"),
            ("cuda", torch.float16, False, True, "flash_attn"),
            ("cuda", torch.float32, False, True, "sdpa"),
            ("cuda", torch.bfloat16, False, False, "sdpa"),
            ("mps", torch.bfloat16, False, True, "sdpa"),
        ],
    )
    def test_choice(
        self, device: str, dtype: torch.dtype, amx: bool, flash_attn: bool, kernel: str, machine: Callable[..., None]
    ) -> None:
        machine(amx=amx, flash_attn=flash_attn)
        assert choose_kernel(device, dtype) == kernel

    @pytest.mark.parametrize(
        ("device", "dtype", "kernel"),
        [
            ("cpu", torch.bfloat16, "sdpa_float32"),
            ("cpu", torch.float32, "sdpa"),
            ("cuda", torch.bfloat16, "sdpa"),
        ],
    )
    def test_a_cpu_that_cannot_multiply_bf16(
        self, device: str, dtype: torch.dtype, kernel: str, machine: Callable[..., None]
    ) -> None:
        machine(bf16=False)
        assert choose_kernel(device, dtype) == kernel

    def test_logged_once(self, machine: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
        machine()
        q, k, v = (t.bfloat16() for t in projected(1, 2, 2, 1, 4))
        with caplog.at_level(logging.DEBUG, logger=MODULE.__name__):
            attention(q, k, v)
            attention(q, k, v)
        assert [record.levelname for record in caplog.records] == ["DEBUG"]
        assert all(word in caplog.text for word in ("per_head", "torch.bfloat16", "cpu"))

    @pytest.mark.parametrize("amx", [False, True])
    def test_the_choice_is_run(self, amx: bool, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
        machine(amx=amx)
        called = []
        for name, kernel in list(KERNELS.items()):
            monkeypatch.setitem(KERNELS, name, lambda *qkv, name=name, run=kernel: (called.append(name), run(*qkv))[1])
        q, k, v = projected(1, 2, 2, 1, 4)
        attention(q, k, v)
        attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
        attention(q, k, v, "plain")
        assert called == ["sdpa", "sdpa" if amx else "per_head", "plain"]
