"""Attention kernels, and what those of others need to run.

Every kernel takes and gives (batch, tokens, heads, head_dim), the layout that a fused qkv projection leaves behind
and that flash-attn uses, so that no kernel has to move memory for another one's sake.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


class KernelUnavailableError(RuntimeError):
    """An attention kernel was asked for by name and cannot run here."""


def learns(*tensors: Tensor) -> bool:
    """Whether autograd records what is done with these tensors."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


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
    if learns(q, k, v):
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


CUDNN = SDPBackend.CUDNN_ATTENTION


def _sdpa_cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's call of cuDNN, and of nothing else if that cannot be."""
    with sdpa_kernel(CUDNN):
        return _sdpa(q, k, v)


def _flash_attn(package: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """FlashAttention-2 (arXiv 2307.08691) or 3 (arXiv 2407.08608), which differ from the fourth argument on."""
    out: Tensor | tuple[Tensor, ...] = importlib.import_module(package).flash_attn_func(q, k, v)
    # Builds of the third before the middle of 2025 give the logsumexp of the scores, too.
    return out[0] if isinstance(out, tuple) else out


FLASH_ATTN, FLASH_ATTN_3 = "flash_attn", "flash_attn_interface"

KERNELS: dict[str, Kernel] = {
    "plain": _plain,
    "sdpa": _sdpa,
    "sdpa_float32": _sdpa_float32,
    "per_head": _per_head,
    "sdpa_cudnn": _sdpa_cudnn,
    "flash_attn": functools.partial(_flash_attn, FLASH_ATTN),
    "flash_attn_3": functools.partial(_flash_attn, FLASH_ATTN_3),
}


@dataclass(frozen=True)
class Needs:
    """What a kernel for half precision on CUDA needs.

    Args:
        is_installed: Whether what it calls is there.
        what: What that is.
        how: How to get it.
        head_dim_multiple: What head_dim has to be a multiple of.
        max_head_dim: The largest head_dim.
    """

    is_installed: Callable[[], bool]
    what: str
    how: str
    head_dim_multiple: int
    max_head_dim: int


def _has_cudnn() -> bool:
    return torch.backends.cudnn.is_available() and torch.version.hip is None


def _has_package(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


NEEDS: dict[str, Needs] = {
    "sdpa_cudnn": Needs(
        _has_cudnn,
        what="a PyTorch with cuDNN, which this one is not",
        how="Install one that is made for CUDA",
        # check_cudnn_tensor_shapes in PyTorch's sdp_utils.cpp; Hopper GPUs take more.
        head_dim_multiple=8,
        max_head_dim=128,
    ),
    "flash_attn": Needs(
        functools.partial(_has_package, FLASH_ATTN),
        what="the flash-attn package, which is not installed",
        how="Install it with 'pip install flash-attn' on a machine with CUDA",
        head_dim_multiple=1,  # It pads.
        max_head_dim=256,
    ),
    "flash_attn_3": Needs(
        functools.partial(_has_package, FLASH_ATTN_3),
        what="the package flash_attn_interface, which is not installed",
        how="Build it from the folder hopper of github.com/Dao-AILab/flash-attention on a machine with a Hopper GPU",
        head_dim_multiple=8,
        max_head_dim=256,
    ),
}
RUN_ANYWHERE = [name for name in KERNELS if name not in NEEDS]


def is_installed(kernel: str) -> bool:
    """Whether what a kernel calls is there; no tensor has been looked at."""
    return kernel not in NEEDS or NEEDS[kernel].is_installed()


def refusal(kernel: str, q: Tensor) -> str | None:
    """Why a kernel cannot run on such queries, (B, N, heads, head_dim); None if it can."""
    if kernel not in NEEDS:
        return None
    if q.device.type != "cuda" or q.dtype not in (torch.float16, torch.bfloat16):
        return (
            f"attention={kernel!r} runs on CUDA in float16 or bfloat16, but the tensors are {q.dtype} on {q.device}. "
            "Use attention='auto', or move the encoder with .to('cuda', torch.bfloat16)."
        )
    multiple, most = NEEDS[kernel].head_dim_multiple, NEEDS[kernel].max_head_dim
    if q.shape[-1] % multiple or q.shape[-1] > most:
        return (
            f"attention={kernel!r} takes head_dim up to {most} in multiples of {multiple}, but embed_dim / num_heads "
            f"is {q.shape[-1]}. Use attention='auto'."
        )
    return None


def _as_operator(name: str) -> Kernel:
    kernel = KERNELS[name]

    @torch.library.custom_op(f"internvl_seg::{name}", mutates_args=())
    def operator(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # The compiler was promised this layout.
        return kernel(q, k, v).contiguous()

    @operator.register_fake
    def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q.new_empty(*q.shape[:-1], v.shape[-1])

    return operator


# Kernels that a compiler would unroll or break its graph at, each as one operation that it leaves alone. It cannot
# differentiate them.
OPERATORS: dict[str, Kernel] = {name: _as_operator(name) for name in ("per_head", *NEEDS)}
