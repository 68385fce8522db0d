"""The layers with weights: the fused path gives what the plain one gives, and is taken only where it may be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from internvl_seg.encoder import linear
from internvl_seg.encoder.cpu import has_bf16_products
from internvl_seg.encoder.linear import Conv2d, Linear

fused_bf16 = pytest.mark.skipif(not has_bf16_products(), reason="oneDNN has no bf16 on this CPU")


@contextmanager
def operations() -> Iterator[list[str]]:
    """Names of the operations that run."""
    names: list[str] = []

    class Note(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names.append(func.name())
            return func(*args, **(kwargs or {}))

    with Note():
        yield names


def layer(bias: bool, dtype: torch.dtype) -> Linear:
    """A layer with a bias that matters."""
    made = Linear(24, 40, bias=bias)
    nn.init.normal_(made.weight, std=0.3)
    if bias:
        nn.init.normal_(made.bias)
    return made.to(dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(24,), (7, 24), (2, 5, 24), (1, 1, 24), (2, 3, 4, 24)])
class TestAgreesWithPlain:
    """Both methods, on every path, for any number of leading dimensions."""

    @staticmethod
    def plain(made: Linear, x: Tensor, gelu: bool) -> Tensor:
        out = F.linear(x.double(), made.weight.double(), None if made.bias is None else made.bias.double())
        return out * (1 + torch.erf(out / 2**0.5)) / 2 if gelu else out

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
    @pytest.mark.parametrize("gradients", [False, True])
    def test_values(
        self, gradients: bool, dtype: torch.dtype, tolerance: float, shape: tuple[int, ...], bias: bool, close: Any
    ) -> None:
        made, x = layer(bias, dtype), torch.randn(shape).to(dtype)
        before = x.clone()
        with torch.set_grad_enabled(gradients):
            for gelu in (False, True):
                got = made(x, gelu=gelu)
                assert got.dtype == dtype
                assert got.requires_grad == gradients
                close(got.detach().double(), self.plain(made, x, gelu).detach(), tolerance)
        assert torch.equal(x, before)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_gradients_are_the_plain_ones(self, dtype: torch.dtype, shape: tuple[int, ...], bias: bool) -> None:
        made, x = layer(bias, dtype), torch.randn(shape).to(dtype).requires_grad_()
        inputs = [x, *made.parameters()]
        got = torch.autograd.grad(made(x, gelu=True).float().square().sum(), inputs)
        want = torch.autograd.grad(F.gelu(F.linear(x, made.weight, made.bias)).float().square().sum(), inputs)
        assert all(torch.equal(one, other) for one, other in zip(got, want, strict=True))

    def test_views_are_taken(self, shape: tuple[int, ...], bias: bool, close: Any) -> None:
        # A third of a fused projection: not contiguous.
        x = torch.randn(*shape[:-1], 3 * 24)[..., 24:48]
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 1e-2)):
            made, part = layer(bias, dtype), x.to(dtype)
            with torch.no_grad():
                close(made(gelu=True, x=part).double(), self.plain(made, part, gelu=True), tolerance)


class TestPath:
    """Which path is taken."""

    @fused_bf16
    def test_bf16_without_gradients_is_fused(self) -> None:
        made, x = layer(True, torch.bfloat16), torch.randn(3, 24, dtype=torch.bfloat16)
        for mode in (torch.no_grad, torch.inference_mode):
            with mode(), operations() as names:
                made(x)
                made(x, gelu=True)
            assert [name for name in names if "supported" not in name] == ["mkldnn::_linear_pointwise"] * 2

    @fused_bf16
    def test_fused_gelu_is_the_exact_one(self) -> None:
        # Through an identity; around -3 the tanh approximation is off by a tenth, elsewhere bf16 hides it.
        made = Linear(24, 24).bfloat16()
        nn.init.eye_(made.weight)
        x = torch.linspace(-3.5, -2.5, 24).bfloat16()
        with torch.no_grad():
            got = made(x, gelu=True).double()
        want = x.double() * torch.special.ndtr(x.double())
        torch.testing.assert_close(got, want, atol=0, rtol=1e-2)

    @pytest.mark.parametrize("bias", [True, False])
    def test_a_cpu_that_cannot_multiply_bf16(self, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linear, "has_bf16_products", lambda: False)
        made, x = layer(bias, torch.bfloat16), torch.randn(3, 24).bfloat16()
        wide = Linear(24, 40, bias=bias)
        wide.load_state_dict(made.state_dict())
        with torch.no_grad():
            for gelu in (False, True):
                # Computed in fp32 and rounded once: the same bits.
                assert torch.equal(made(x, gelu=gelu), wide(x.float(), gelu=gelu).bfloat16())

    @pytest.mark.parametrize("bias", [True, False])
    def test_a_convolution_on_such_a_cpu(self, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linear, "has_bf16_products", lambda: False)
        made, x = Conv2d(3, 8, 2, stride=2, bias=bias).bfloat16(), torch.randn(2, 3, 4, 6).bfloat16()
        wide = Conv2d(3, 8, 2, stride=2, bias=bias)
        wide.load_state_dict(made.state_dict())
        with torch.no_grad():
            assert torch.equal(made(x), wide(x.float()).bfloat16())

    @pytest.mark.parametrize(
        ("gradients", "dtype"),
        [(True, torch.bfloat16), (True, torch.float32), (False, torch.float32), (False, torch.float64)],
    )
    def test_otherwise_plain(self, gradients: bool, dtype: torch.dtype) -> None:
        made, x = layer(True, dtype), torch.randn(3, 24, dtype=dtype)
        with torch.set_grad_enabled(gradients), operations() as names:
            made(x)
            made(x, gelu=True)
        assert names
        assert not any("linear_pointwise" in name for name in names)

    def test_mixed_dtypes_under_autocast(self, close: Any) -> None:
        made, x = layer(True, torch.float32), torch.randn(3, 24)
        with torch.no_grad():
            want = made(x, gelu=True)
            with torch.autocast("cpu", torch.bfloat16):
                for images in (x, x.bfloat16()):
                    got = made(gelu=True, x=images)
                    assert got.dtype == torch.bfloat16
                    close(got.float(), want, 2e-2)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_weights_that_know_f_linear_alone(self, dtype: torch.dtype) -> None:
        # As quantized ones do: they are tensors of a subclass, in a layer whose class stays as it was.
        class Packed(Tensor):
            @classmethod
            def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if "linear_pointwise" in str(func):
                    raise NotImplementedError(func)
                return super().__torch_function__(func, types, args, kwargs or {})

        made, x = layer(True, dtype), torch.randn(3, 24, dtype=dtype)
        plain = F.linear(x, made.weight, made.bias)
        made.weight = nn.Parameter(made.weight.detach().as_subclass(Packed))
        with torch.no_grad():
            assert torch.equal(made(x), plain)
            assert torch.equal(made(x, gelu=True), F.gelu(plain))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_tracing_records_plain_operations(self, dtype: torch.dtype, close: Callable[..., None]) -> None:
        made, x = layer(True, dtype), torch.randn(3, 24, dtype=dtype)
        with torch.no_grad():
            traced = torch.jit.trace(made, x)
            assert "mkldnn" not in str(traced.inlined_graph)
            close(traced(x).float(), made(x).float(), 1e-2)


class TestInit:
    """Weights as ViTs start."""

    def test_statistics(self) -> None:
        made = Linear(200, 300)
        assert made.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert made.weight.abs().max() < 6 * 0.02
        assert torch.equal(made.bias, torch.zeros(300))
        assert Linear(2, 3, bias=False).bias is None
