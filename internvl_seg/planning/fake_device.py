"""Tensors without data on a device that need not be there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class _AssumedValues(TorchDispatchMode):
    """Answers what depends on values: a number is 1, and a mask selects everything."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten._local_scalar_dense.default:
            return 1
        if func in (aten.index.Tensor, aten.index_put_.default, aten.index_put.default):
            args = (args[0], [i for index in args[1] for i in _positions(index)], *args[2:])
        return func(*args, **(kwargs or {}))


def _positions(index: Tensor | None) -> list[Tensor | None]:
    """The integer indices that a mask becomes, one per dimension."""
    if index is None or index.dtype not in (torch.bool, torch.uint8):
        return [index]
    return [index.new_empty(index.numel(), dtype=torch.int64) for _ in range(index.ndim)]


class _FusedAttention(TorchFunctionMode):
    """The operator that SDPA is on a GPU, which PyTorch chooses by asking the driver."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            q, k, v = args
            if torch.is_autocast_enabled("cuda"):
                q, k, v = (t.to(torch.get_autocast_dtype("cuda")) for t in args)
            if q.dtype.itemsize == 2:
                return aten._scaled_dot_product_flash_attention(q, k, v)[0]
            return aten._scaled_dot_product_efficient_attention(q, k, v, None, torch.is_grad_enabled())[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def fake_tensors(device: str) -> Iterator[None]:
    """Within this context tensors have shapes and dtypes and take no memory.

    Every operator still chooses what it is made of as on ``device``: under autocast, and in fused norms and attention.

    Args:
        device: 'cpu' or 'cuda'; no GPU is needed.
    """
    with ExitStack() as stack:
        if device == "cuda":
            # Autocast turns itself off where it finds no GPU.
            stack.enter_context(patch("torch.cuda.amp.common.amp_definitely_not_available", return_value=False))
            stack.enter_context(patch("torch.cuda.is_bf16_supported", return_value=True))
            stack.enter_context(_FusedAttention())
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(_AssumedValues())  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped.
        yield
