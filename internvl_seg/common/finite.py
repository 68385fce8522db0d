"""NaN and infinity, found where they appear instead of in a figure long after."""

import torch
from torch import Tensor


class NonFiniteError(RuntimeError):
    """There is NaN or infinity where a number is expected; the message says where."""


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity.

    Nothing of the tensor's size is allocated: its least and largest value are found, which NaN spreads to. On an
    accelerator this waits for the result.

    Args:
        tensor: Of any shape and dtype; integers are finite.
    """
    if tensor.numel() == 0 or not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    values = torch.view_as_real(tensor) if tensor.is_complex() else tensor.detach()
    if values.dtype.itemsize == 1:  # PyTorch finds no extremes of 8-bit floating point.
        values = values.to(torch.bfloat16)
    low, high = values.aminmax()
    return bool(low.isfinite() & high.isfinite())


def describe_non_finite(tensor: Tensor) -> str:
    """What is not finite in a tensor, such as ``3 of 128 values are NaN or infinite, the first at (0, 17)``."""
    flat = ~tensor.detach().float().isfinite().flatten()
    first = int(flat.int().argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(first), tensor.shape))
    return f"{int(flat.sum()):,} of {flat.numel():,} values are NaN or infinite, the first at {index}"


def check_finite(tensor: Tensor, what: str, advice: str) -> None:
    """Check that a tensor holds neither NaN nor infinity.

    Args:
        tensor: As of :func:`is_finite`.
        what: What it is and where, for the message.
        advice: What to do, a whole sentence.

    Raises:
        NonFiniteError: It does; the message says how many values and where the first is.
    """
    if not is_finite(tensor):
        raise NonFiniteError(f"{what}: {describe_non_finite(tensor)}. {advice}")
