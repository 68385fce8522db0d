"""Softmax attention as one function over the table of kernels."""

import torch
from torch import Tensor

from .cpu import is_traced
from .kernel_table import choose_kernel
from .kernels import KERNELS, NEEDS, OPERATORS, KernelUnavailableError, is_installed, learns, refusal

__all__ = ["KERNELS", "KernelUnavailableError", "attention", "check_kernel"]


def check_kernel(name: str) -> None:
    """Check at construction that a kernel exists and is installed.

    Args:
        name: A key of :data:`KERNELS`, or ``'auto'``.

    Raises:
        ValueError: There is no such kernel.
        KernelUnavailableError: It needs something that is not installed.
    """
    if not isinstance(name, str) or (name != "auto" and name not in KERNELS):
        raise ValueError(f"attention={name!r} is not a kernel; choose 'auto' or one of {', '.join(KERNELS)}.")
    if not is_installed(name):
        raise KernelUnavailableError(
            f"attention={name!r} needs {NEEDS[name].what}. {NEEDS[name].how}, or use attention='auto'."
        )


def attention(q: Tensor, k: Tensor, v: Tensor, kernel: str = "auto") -> Tensor:
    """Softmax attention, scaled by 1/sqrt(head_dim), without mask or dropout.

    Args:
        q: Queries, (B, N, heads, head_dim).
        k: Keys, (B, M, heads, head_dim).
        v: Values, (B, M, heads, head_dim).
        kernel: A key of :data:`KERNELS`, or ``'auto'`` to pick by machine and dtype (``kernel_table.py``).

    Returns:
        (B, N, heads, head_dim), in the dtype of ``q``.

    Raises:
        KernelUnavailableError: The kernel cannot run on these tensors.
    """
    compiled = torch.compiler.is_compiling()
    exported = torch.compiler.is_exporting() if compiled else is_traced()
    # What leaves this machine, and what a compiler has to differentiate, is made of PyTorch's own operations.
    portable = exported or (compiled and learns(q, k, v))
    if kernel == "auto":
        kernel = "sdpa" if portable else choose_kernel(q.device, q.dtype)
        if refusal(kernel, q):
            kernel = "sdpa"
    elif why := refusal(kernel, q):
        raise KernelUnavailableError(why)
    if compiled and not portable and kernel in OPERATORS:
        return OPERATORS[kernel](q, k, v)
    return KERNELS[kernel](q, k, v)
