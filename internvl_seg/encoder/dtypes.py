"""Dtypes as users name them."""

import torch


def find_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """A floating dtype by its name; what is one already, or None, stays.

    Args:
        dtype: Such as ``torch.bfloat16``, 'bfloat16' or 'torch.bfloat16'.

    Raises:
        ValueError: It is no dtype that weights can compute in.
    """
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if found is None and dtype is None:
        return None
    if not isinstance(found, torch.dtype) or not found.is_floating_point or found.itemsize == 1:
        raise ValueError(
            f"dtype={dtype!r} is no dtype of weights; choose one of 'float32', 'bfloat16', 'float16', 'float64', or "
            "the same of torch. For fewer bits there is quantization=."
        )
    return found
