"""Softmax attention as one function over a small table of kernels.

Every kernel takes and gives (batch, tokens, heads, head_dim), the layout that a fused qkv projection leaves behind
and that flash-attn uses, so that no kernel has to move memory for another one's sake.
"""

import functools
import importlib.util
import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .cpu import has_bf16_products

logger = logging.getLogger(__name__)


class KernelUnavailableError(RuntimeError):
    """An attention kernel was asked for by name and cannot run here."""


def _plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The definition: softmax(q k^T / sqrt(d)) v with the whole score matrix in memory."""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    out: Tensor = scores.softmax(dim=-1) @ v
    return out.transpose(1, 2)


def _sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's own fused kernels."""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def _sdpa_float32(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same in fp32 on tensors of half precision, for CPUs that cannot multiply those."""
    wide = torch.promote_types(q.dtype, torch.float32)
    return _sdpa(q.to(wide), k.to(wide), v.to(wide)).to(q.dtype)


def _per_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head at a time, so that its (tokens x tokens) scores stay in the CPU's cache."""
    batch, tokens, heads, dim = q.shape
    q = q * dim**-0.5
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
        outs = [(q[:, :, h] @ k[:, :, h].mT).softmax(dim=-1) @ v[:, :, h] for h in range(heads)]
        return torch.stack(outs, dim=2)
    out = q.new_empty(batch, tokens, heads, v.shape[-1])
    scores = q.new_empty(tokens, k.shape[1])
    for b in range(batch):
        for h in range(heads):
            torch.mm(q[b, :, h], k[b, :, h].T, out=scores)
            torch.softmax(scores, dim=-1, out=scores)
            out[b, :, h] = scores @ v[b, :, h]
    return out


def _flash_attn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The flash-attn package, for half-precision tensors on CUDA."""
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16):
        raise KernelUnavailableError(
            f"attention='flash_attn' runs on CUDA in float16 or bfloat16, but the tensors are {q.dtype} on {q.device}. "
            "Use attention='auto', or move the encoder with .to('cuda', torch.bfloat16)."
        )
    from flash_attn import flash_attn_func

    out: Tensor = flash_attn_func(q, k, v)
    return out


KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "plain": _plain,
    "sdpa": _sdpa,
    "sdpa_float32": _sdpa_float32,
    "per_head": _per_head,
    "flash_attn": _flash_attn,
}


def _flash_attn_installed() -> bool:
    return importlib.util.find_spec("flash_attn") is not None


def check_kernel(name: str) -> None:
    """Check at construction that a kernel exists and is installed.

    Args:
        name: A key of :data:`KERNELS`, or ``'auto'``.

    Raises:
        ValueError: There is no such kernel.
        KernelUnavailableError: It needs a package that is not installed.
    """
    if name != "auto" and name not in KERNELS:
        raise ValueError(f"attention={name!r} is not a kernel; choose 'auto' or one of {', '.join(KERNELS)}.")
    if name == "flash_attn" and not _flash_attn_installed():
        raise KernelUnavailableError(
            "attention='flash_attn' needs the flash-attn package, which is not installed. "
            "Install it with 'pip install flash-attn' on a machine with CUDA, or use attention='auto'."
        )


@functools.cache
def choose_kernel(device: str, dtype: torch.dtype) -> str:
    """Pick the kernel that measured fastest for a device and dtype (``benchmarks/attention.py``).

    The choice rests on what the machine is, not on a timing at run time, so that a run repeats bit for bit.

    Args:
        device: Device type, such as ``'cpu'``.
        dtype: Of queries, keys and values.

    Returns:
        A key of :data:`KERNELS`.
    """
    name = "sdpa"
    if device == "cuda" and dtype in (torch.float16, torch.bfloat16) and _flash_attn_installed():
        name = "flash_attn"
    elif device == "cpu" and dtype == torch.bfloat16 and not has_bf16_products():
        name = "sdpa_float32"
    # With AMX tiles SDPA is the fastest in bf16 (7.8 ms against 13.3 for 16 heads x 1025 tokens x 64 on two cores);
    # with AVX-512 bf16 alone one head at a time is (20 ms against 33).
    elif device == "cpu" and dtype == torch.bfloat16 and not torch.cpu.get_capabilities().get("amx_bf16", False):
        name = "per_head"
    logger.debug("attention='auto' picked %r for %s on %s", name, dtype, device)
    return name


def attention(q: Tensor, k: Tensor, v: Tensor, kernel: str = "auto") -> Tensor:
    """Softmax attention, scaled by 1/sqrt(head_dim), without mask or dropout.

    Args:
        q: Queries, (B, N, heads, head_dim).
        k: Keys, (B, M, heads, head_dim).
        v: Values, (B, M, heads, head_dim).
        kernel: A key of :data:`KERNELS`, or ``'auto'`` to pick per device and dtype.

    Returns:
        (B, N, heads, head_dim), in the dtype of ``q``.

    Raises:
        KernelUnavailableError: The kernel cannot run on these tensors.
    """
    if kernel == "auto":
        # A compiler sees one fused operation; Python loops and package calls would only hide it.
        kernel = "sdpa" if torch.compiler.is_compiling() else choose_kernel(q.device.type, q.dtype)
    return KERNELS[kernel](q, k, v)
