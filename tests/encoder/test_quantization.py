"""Weights of 8 and 4 bits: how far off, how much memory, and integer products that are exact."""

import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from internvl_seg import InternViT
from internvl_seg.encoder import quantization
from internvl_seg.encoder.cpu import has_int8_products
from internvl_seg.encoder.linear import Linear, QuantizedLinear
from internvl_seg.encoder.quantization import QUANTIZATIONS, quantize_encoder, quantize_linear

from ..error_table import DocumentedError

# Relative errors of a layer with normal weights and inputs: half a step, uniformly, in units of their spread.
ERRORS = {"int8": 0.012, "int8_dynamic": 0.016, "int4": 0.12}
BITS = {"int8": 8, "int8_dynamic": 8, "int4": 4.5}


def layer(inputs: int = 128, outputs: int = 96, bias: bool = True) -> Linear:
    made = Linear(inputs, outputs, bias=bias)
    torch.nn.init.normal_(made.weight)
    if bias:
        torch.nn.init.normal_(made.bias)
    return made


def relative(got: Tensor, want: Tensor) -> float:
    return float((got.double() - want.double()).norm() / want.double().norm())


@torch.no_grad()
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_a_layer_is_close_to_the_one_it_was(kind: str, dtype: torch.dtype, bias: bool, gelu: bool) -> None:
    exact = layer(bias=bias)
    x = torch.randn(2, 70, 128)
    got = quantize_linear(exact.to(dtype), kind)(x.to(dtype), gelu=gelu)
    want = F.linear(x.to(dtype).double(), exact.weight.double(), exact.bias.double() if bias else None)
    assert (got.shape, got.dtype) == (want.shape, dtype)
    assert 0.1 * ERRORS[kind] < relative(got, F.gelu(want) if gelu else want) < 1.3 * ERRORS[kind]


def unpacked(exact: Linear) -> QuantizedLinear:
    """An 'int8_dynamic' layer as machines without integer products have it."""
    with patch.object(quantization, "has_int8_products", lambda: False):
        return quantize_linear(exact, "int8_dynamic")


@torch.no_grad()
@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "has_int8_products", lambda: False)  # What oneDNN packs, no buffer shows.
    quantized = quantize_linear(layer(1024, 512, bias=False), kind)
    bits = 8 * sum(buffer.nbytes for buffer in quantized.buffers()) / (1024 * 512)
    assert bits == pytest.approx(BITS[kind], abs=0.05)


@torch.no_grad()
@given(rows=st.integers(1, 130), inputs=st.integers(1, 20), outputs=st.integers(1, 40), scale=st.floats(1e-20, 1e20))
def test_integer_products_are_exact(rows: int, inputs: int, outputs: int, scale: float) -> None:
    x = torch.randn(rows, 8 * inputs) * scale
    x[0] = 0
    exact = layer(8 * inputs, outputs)
    quantized, plain = quantize_linear(exact, "int8_dynamic"), unpacked(exact)
    weight = plain.codes.double() * plain.scale[:, None].double()
    codes, step = quantization._quantize_rows(x)
    values = (codes.double() - 128) * step.double()
    # Half a step, but for what the step itself is rounded by.
    assert ((values - x.double()).abs() <= 0.502 * step.double() + 1e-37).all()
    want = F.linear(values, weight, quantized.bias.double())
    torch.testing.assert_close(quantized(x).double(), want, rtol=2e-5, atol=float(2e-6 * (1 + step.max() * 127)))


@torch.no_grad()
@pytest.mark.skipif(not has_int8_products(), reason="needs a CPU with integer products (AVX-512 VNNI)")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_products_of_other_machines_are_the_same(dtype: torch.dtype) -> None:
    exact, x = layer().to(dtype), torch.randn(70, 128).to(dtype)
    packed, plain = quantize_linear(exact, "int8_dynamic"), unpacked(exact)
    assert packed.codes is None  # They are not kept twice.
    got = packed(x)
    assert relative(got, plain(x)) < (1e-6 if dtype == torch.float32 else 3e-3)
    packed(x[:3])  # Of another number of rows in between.
    assert torch.equal(packed(x), got)


@torch.no_grad()
@pytest.mark.skipif(not has_int8_products(), reason="needs a CPU with integer products (AVX-512 VNNI)")
def test_what_is_packed_for_the_cpu_stays_there(documented_error: DocumentedError) -> None:
    quantized = quantize_linear(layer(), "int8_dynamic")
    with documented_error("a layer in 8-bit integers that was moved from the CPU", RuntimeError):
        quantized(torch.empty(3, 128, device="meta"))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_cpus_without_bf16_widen_to_fp32(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact, x = layer().bfloat16(), torch.randn(9, 128).bfloat16()
    here = quantize_linear(exact, kind)(x)
    monkeypatch.setattr(quantization, "has_bf16_products", lambda: False)
    assert relative(quantize_linear(exact, kind)(x), here) < 5e-3


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_gradients_of_inputs_are_those_of_the_weights_that_are_used(kind: str) -> None:
    quantized = torch.nn.Sequential(quantize_linear(layer(), kind), quantize_linear(layer(96, 128), kind))
    x = torch.randn(4, 128, requires_grad=True)
    quantized(x).sum().backward()
    eye = torch.eye(128)
    with torch.no_grad():
        jacobian = quantized[0](eye) - quantized[0](torch.zeros(1, 128))
        jacobian = jacobian @ (quantized[1](torch.eye(96)) - quantized[1](torch.zeros(1, 96)))
    torch.testing.assert_close(x.grad, jacobian.sum(1).expand(4, -1), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_threads_do_not_share_scratch() -> None:
    layers = [quantize_linear(layer(256, 256), "int8") for _ in range(4)]
    x = torch.randn(8, 256)
    want = [each(x) for each in layers]
    wrong: list[int] = []

    def work(i: int) -> None:
        with torch.no_grad():
            wrong.extend(i for _ in range(50) if not torch.equal(layers[i](x), want[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_scratch_made_in_inference_mode_serves_outside_of_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "_scratch", quantization._Scratch())
    quantized, x = quantize_linear(layer(), kind), torch.randn(3, 128)
    with torch.inference_mode():
        inside = quantized(x)
    with torch.no_grad():
        assert torch.equal(quantized(x), inside)


@torch.no_grad()
@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_an_encoder(kind: str, build: Callable[..., InternViT], architecture: dict[str, Any]) -> None:
    encoder, images = build(), torch.randn(2, 3, 42, 56)
    want = encoder(images)
    biases = architecture["qkv_bias"]
    names = set(encoder.state_dict())
    quantize_encoder(encoder, kind)
    assert encoder.quantization == kind
    assert not encoder.has_all_weights
    assert 1e-4 < relative(encoder(images), want) < 10 * ERRORS[kind]
    gone = names - set(encoder.state_dict())
    assert gone == {n for n in names if ".attn." in n or ".mlp." in n if n.endswith(".weight") and "norm" not in n}
    assert ("blocks.0.attn.qkv.bias" in encoder.state_dict()) == biases


def test_an_unknown_kind(build: Callable[..., InternViT], documented_error: DocumentedError) -> None:
    with documented_error("an unknown quantization", ValueError):
        quantize_encoder(build(), "int2")


def test_channels_that_cannot_be_grouped(documented_error: DocumentedError) -> None:
    with documented_error("int4 with channels that are no multiple of 8", ValueError):
        quantize_linear(layer(12, 8), "int4")
