"""When a layer takes another path on the CPU than PyTorch's own."""

import functools

import torch
from torch import Tensor, nn


@functools.cache
def has_bf16_products() -> bool:
    """Whether oneDNN multiplies bf16 matrices here; it needs AVX-512.

    Without it PyTorch falls back to loops that took 17 times as long as fp32 on a CPU with AVX2 alone (ViT-S/14,
    eight images of 378 x 504: 76 s against 4.4).
    """
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@functools.cache
def has_int8_products() -> bool:
    """Whether the CPU multiplies 8-bit integers into 32 bits (VNNI); those before it overflow on the way, in 16."""
    able = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and any(able.get(k) for k in ("avx512_vnni", "avx_vnni", "amx_int8"))


def is_traced() -> bool:
    """Whether a compiler or exporter is recording: it needs plain operations and fuses them itself."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def is_traced_or_fake(x: Tensor) -> bool:
    """Whether a computation is recorded, or only its sizes are counted: what it makes may not be kept for later."""
    return is_traced() or type(x) not in (Tensor, nn.Parameter)


def replaceable(x: Tensor, weight: Tensor) -> bool:
    """Whether something faster may stand in for PyTorch's layer: bf16 on the CPU, no gradient, not traced."""
    return (
        type(weight) in (nn.Parameter, Tensor)  # A subclass (sharded) knows PyTorch's operations alone.
        and not is_traced()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.bfloat16
        and not torch.is_grad_enabled()
    )
