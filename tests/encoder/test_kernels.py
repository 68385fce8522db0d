"""Kernels for CUDA, run on the CPU through references of what they call, and what they refuse."""

import importlib.machinery
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx
from torch.nn.attention import SDPBackend

from internvl_seg.encoder import InternViT, KernelUnavailableError, attention, kernels
from internvl_seg.encoder.attention import check_kernel
from internvl_seg.encoder.kernels import FLASH_ATTN, FLASH_ATTN_3, KERNELS, NEEDS, OPERATORS, is_installed, refusal

from ..error_table import DocumentedError
from .conftest import TINY
from .test_attention import MODULE, definition, projected


def _reference(
    q: Tensor, k: Tensor, v: Tensor, softmax_scale: float | None, deviations: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """Output and logsumexp of (batch, tokens, heads, head_dim), as both packages say of themselves."""
    for name, tensor in {"q": q, "k": k, "v": v}.items():
        assert (tensor.dim(), tensor.stride(-1)) == (4, 1), name
        assert tensor.dtype in (torch.float16, torch.bfloat16), name
    assert (q.shape[0], *q.shape[2:]) == (k.shape[0], *k.shape[2:])
    assert k.shape == v.shape
    assert not any(deviations.values()), "the reference knows plain attention alone"
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    scores = scale * torch.einsum("bnhd,bmhd->bhnm", q.float(), k.float())
    lse = scores.logsumexp(dim=-1)
    return torch.einsum("bhnm,bmhd->bnhd", (scores - lse[..., None]).exp(), v.float()).to(q.dtype), lse


def flash_attn_2(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Any:
    """The signature of flash_attn.flash_attn_func 2.8, flash_attn/flash_attn_interface.py."""
    deviations = {"dropout": dropout_p, "causal": causal, "window": window_size != (-1, -1), "softcap": softcap}
    out, lse = _reference(q, k, v, softmax_scale, deviations | {"alibi": alibi_slopes is not None})
    return (out, lse, None) if return_attn_probs else out


def flash_attn_3(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    softmax_scale: float | None = None,
    causal: bool = False,
    qv: Tensor | None = None,
    q_descale: Tensor | None = None,
    k_descale: Tensor | None = None,
    v_descale: Tensor | None = None,
    window_size: tuple[int, int] = (-1, -1),
    attention_chunk: int = 0,
    softcap: float = 0.0,
    num_splits: int = 1,
    pack_gqa: bool | None = None,
    deterministic: bool = False,
    sm_margin: int = 0,
    return_attn_probs: bool = False,
) -> Any:
    """The signature of flash_attn_interface.flash_attn_func 3.0.0b1, hopper/flash_attn_interface.py."""
    extra = [tensor is not None for tensor in (qv, q_descale, k_descale, v_descale)]
    deviations = {"causal": causal, "extra": any(extra), "window": window_size != (-1, -1), "softcap": softcap}
    out, lse = _reference(q, k, v, softmax_scale, deviations | {"chunk": attention_chunk})
    return (out, lse) if return_attn_probs else out


def flash_attn_3_before_2025_07(q: Tensor, k: Tensor, v: Tensor, softmax_scale: float | None = None) -> Any:
    """The same before commit ed20940: the logsumexp came, too, whether asked for or not."""
    return flash_attn_3(q, k, v, softmax_scale, return_attn_probs=True)


# Kernel, the package that it imports, what stands for it there.
FLASH = {
    "2": ("flash_attn", FLASH_ATTN, flash_attn_2),
    "3": ("flash_attn_3", FLASH_ATTN_3, flash_attn_3),
    "3, older": ("flash_attn_3", FLASH_ATTN_3, flash_attn_3_before_2025_07),
}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[..., Any]], None]:
    """Put a package with this ``flash_attn_func`` where an import finds it."""

    def put(package: str, function: Callable[..., Any]) -> None:
        module = types.ModuleType(package)
        module.__spec__ = importlib.machinery.ModuleSpec(package, loader=None)
        module.flash_attn_func = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, package, module)

    return put


@pytest.fixture(params=[*FLASH, "cudnn"])
def kernel(request: pytest.FixtureRequest, install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel for CUDA whose package or backend is one that runs here."""
    if request.param == "cudnn":
        monkeypatch.setattr(kernels, "CUDNN", SDPBackend.MATH)
        return "sdpa_cudnn"
    name, package, function = FLASH[request.param]
    install(package, function)
    return name


class TestThroughReferences:
    """The calls are right: layout, order of arguments, scale and what comes back."""

    @pytest.mark.parametrize("shape", [(1, 1, 1, 1, 8), (2, 7, 7, 3, 16), (1, 5, 9, 2, 64)])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_definition(
        self, shape: tuple[int, ...], dtype: torch.dtype, kernel: str, close: Callable[..., None]
    ) -> None:
        q, k, v = (t.to(dtype) for t in projected(*shape, scale=2.0))
        got = KERNELS[kernel](q, k, v)
        assert got.dtype == dtype
        close(got.float(), definition(q, k, v).float(), 2e-2)

    def test_gradients(self, kernel: str, close: Callable[..., None]) -> None:
        inputs = [t.bfloat16().requires_grad_() for t in projected(1, 9, 9, 2, 8)]
        got = torch.autograd.grad(KERNELS[kernel](*inputs).float().square().sum(), inputs)
        want = torch.autograd.grad(definition(*inputs).square().sum(), inputs)
        for one, other in zip(got, want, strict=True):
            close(one.float(), other.float(), 3e-2)

    def test_as_an_operator(self, kernel: str, close: Callable[..., None]) -> None:
        q, k, v = (t.bfloat16() for t in projected(2, 7, 7, 3, 16))
        checks = ("test_schema", "test_faketensor")
        assert set(torch.library.opcheck(OPERATORS[kernel], (q, k, v), test_utils=checks).values()) == {"SUCCESS"}
        close(OPERATORS[kernel](q, k, v), KERNELS[kernel](q, k, v))

    @pytest.mark.parametrize("compiled", [False, True])
    def test_in_an_encoder(
        self,
        compiled: bool,
        kernel: str,
        build: Callable[..., InternViT],
        close: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # All but the look at the device, which no other test leaves out.
        monkeypatch.setattr(MODULE, "refusal", lambda kernel, q: None)
        monkeypatch.setattr(MODULE, "choose_kernel", lambda device, dtype: kernel)
        encoder, plain = build().bfloat16(), build(attention="plain").bfloat16()
        plain.load_state_dict(encoder.state_dict())
        images = torch.randn(2, 3, 28, 42)
        graphs: list[fx.GraphModule] = []
        run: Callable[[Tensor], Tensor] = encoder
        if compiled:
            torch.compiler.reset()
            backend = lambda graph, inputs: (graphs.append(graph), graph.forward)[1]  # noqa: E731 - a function
            run = torch.compile(encoder, fullgraph=True, backend=backend)
        with torch.no_grad():
            close(run(images).float(), plain(images).float(), 1e-1)
        called = [str(node.target) for graph in graphs for node in graph.graph.nodes]
        assert called.count(f"internvl_seg.{kernel}.default") == (3 if compiled else 0)


class TestOperator:
    """One head at a time is an operation, too."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_per_head(self, dtype: torch.dtype) -> None:
        inputs = tuple(t.to(dtype) for t in projected(2, 7, 5, 3, 16))
        checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
        assert set(torch.library.opcheck(OPERATORS["per_head"], inputs, test_utils=checks).values()) == {"SUCCESS"}
        assert torch.equal(OPERATORS["per_head"](*inputs), KERNELS["per_head"](*inputs))


class TestCudnn:
    """Restricted to cuDNN, and to nothing else."""

    def test_only_cudnn_is_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        backends = ("cudnn", "flash", "mem_efficient", "math")
        allowed = []

        def look(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            allowed.append([name for name in backends if getattr(torch.backends.cuda, f"{name}_sdp_enabled")()])
            return q

        monkeypatch.setattr(F, "scaled_dot_product_attention", look)
        KERNELS["sdpa_cudnn"](*projected(1, 2, 2, 1, 8))
        KERNELS["sdpa"](*projected(1, 2, 2, 1, 8))
        assert allowed == [["cudnn"], list(backends)]

    def test_nothing_stands_in_for_it(self) -> None:
        with pytest.raises(RuntimeError, match=r"[Nn]o.*(backend|kernel)"):
            KERNELS["sdpa_cudnn"](*projected(1, 2, 2, 1, 8))


class TestInstalled:
    """What is not there is missed when the encoder is built."""

    @pytest.mark.parametrize("name", KERNELS)
    def test_all_but_those_that_need_something(self, name: str) -> None:
        assert name in NEEDS or is_installed(name)

    @pytest.mark.parametrize(("name", "package", "function"), FLASH.values())
    def test_a_package_is_looked_for(
        self,
        name: str,
        package: str,
        function: Callable[..., Any],
        install: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        assert not is_installed(name)
        with pytest.raises(KernelUnavailableError, match=f"{name}.*not installed.*attention='auto'"):
            check_kernel(name)
        install(package, function)
        assert is_installed(name)
        check_kernel(name)

    @pytest.mark.parametrize(
        ("built", "hip", "there"), [(True, None, True), (False, None, False), (True, "6.4", False)]
    )
    def test_cudnn_is_looked_for(
        self, built: bool, hip: str | None, there: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: built)
        monkeypatch.setattr(torch.version, "hip", hip)
        assert is_installed("sdpa_cudnn") == there

    def test_flash_attention_3(self, documented_error: DocumentedError, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, FLASH_ATTN_3, None)
        with documented_error("FlashAttention-3 is not installed", KernelUnavailableError):
            InternViT(**TINY, attention="flash_attn_3")

    def test_cudnn(self, documented_error: DocumentedError, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: False)
        with documented_error("PyTorch has no cuDNN", KernelUnavailableError):
            InternViT(**TINY, attention="sdpa_cudnn")


class TestRefusal:
    """What a kernel does not take is refused with the reason, before it is called."""

    @pytest.mark.parametrize("name", NEEDS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_the_wrong_device(self, name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(KERNELS, name, lambda q, k, v: pytest.fail("called all the same"))
        q, k, v = (t.to(dtype) for t in projected(1, 2, 2, 1, 8))
        with pytest.raises(KernelUnavailableError, match=rf"{name}.*{dtype} on cpu.*attention='auto'"):
            attention(q, k, v, name)

    @pytest.mark.parametrize("name", KERNELS)
    @pytest.mark.parametrize(
        ("dtype", "head_dim", "takes"),
        [
            (torch.bfloat16, 64, set(KERNELS)),
            (torch.float16, 128, set(KERNELS)),
            (torch.float32, 64, set(KERNELS) - set(NEEDS)),
            (torch.bfloat16, 20, set(KERNELS) - {"sdpa_cudnn", "flash_attn_3"}),
            (torch.bfloat16, 136, set(KERNELS) - {"sdpa_cudnn"}),
            (torch.bfloat16, 264, set(KERNELS) - set(NEEDS)),
        ],
    )
    def test_on_cuda(self, name: str, dtype: torch.dtype, head_dim: int, takes: set[str]) -> None:
        with torch._subclasses.FakeTensorMode():
            q = torch.empty(1, 2, 1, head_dim, dtype=dtype, device="cuda")
        why = refusal(name, q)
        assert (why is None) == (name in takes)
        assert why is None or f"attention={name!r}" in why

    def test_a_head_dim(self, documented_error: DocumentedError) -> None:
        with torch._subclasses.FakeTensorMode():
            q = torch.empty(1, 2, 1, 20, dtype=torch.bfloat16, device="cuda")
        with documented_error("an attention kernel does not take this head_dim", KernelUnavailableError):
            attention(q, q, q, "flash_attn_3")
