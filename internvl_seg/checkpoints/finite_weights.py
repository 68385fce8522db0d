"""NaN and infinity among weights, told when they are read and not when a prediction is odd."""

import os
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..common.finite import describe_non_finite, is_finite
from .errors import NonFiniteWeightsError
from .stored import InMemory, Stored

_DAMAGED = "The file is damaged, or of a training that diverged: take another checkpoint."


def non_finite(
    stored: Mapping[str, Stored | InMemory], data: Tensor, where: str | os.PathLike[str]
) -> NonFiniteWeightsError:
    """The error about a parameter that is not finite: whether it is so in its file, or is cast to too small a dtype.

    Args:
        stored: The parameter's parts in the file, by their names; they are read again.
        data: What was made of them.
        where: The file.
    """
    for name, part in stored.items():
        tensor = part.read()
        if not is_finite(tensor):
            return NonFiniteWeightsError(f"{where}: {name}: {describe_non_finite(tensor)}. {_DAMAGED}")
    largest = max(float(part.read().abs().max()) for part in stored.values())
    dtype = str(data.dtype).removeprefix("torch.")
    wider = [other for other in ("bfloat16", "float32") if largest <= torch.finfo(getattr(torch, other)).max]
    advice = f"Use dtype={wider[0]!r} (torch.{wider[0]}), which holds them." if wider else _DAMAGED
    return NonFiniteWeightsError(
        f"{where}: {' + '.join(stored)}: values up to {largest:.3g} overflow {dtype}, whose largest is "
        f"{torch.finfo(data.dtype).max:.3g}. {advice}"
    )


def check_weights(tensors: Iterable[tuple[str, Tensor]], where: str | os.PathLike[str]) -> None:
    """Check that weights that were read are finite, and variances of BatchNorm not below 0, whose root is NaN.

    Args:
        tensors: With their names. All of each is read; what is mapped from a large file and may stay there is left out
            by whoever calls.
        where: The file, for the error.

    Raises:
        NonFiniteWeightsError: One of them holds NaN or infinity, or such variances.
    """
    for name, tensor in tensors:
        if not tensor.is_meta and not is_finite(tensor):
            raise NonFiniteWeightsError(f"{where}: {name}: {describe_non_finite(tensor)}. {_DAMAGED}")
        if not tensor.is_meta and name.endswith("running_var") and (below := int((tensor < 0).sum())):
            raise NonFiniteWeightsError(
                f"{where}: {name}: {below} of {tensor.numel()} variances are below 0, which makes NaN. {_DAMAGED}"
            )
