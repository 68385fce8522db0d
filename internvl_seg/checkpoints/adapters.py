"""A run's adapters (LoRA) merged into the encoder that they were trained on: all of them, or an error."""

import torch
from torch import Tensor

from ..common.finite import is_finite
from ..encoder.intern_vit import InternViT
from ..encoder.lora import LAYERS, add_lora, is_lora, merge_lora
from .errors import KeyMismatchError, NonFiniteWeightsError, ShapeMismatchError, UnreadableWeightsError, list_names
from .finite_weights import check_weights
from .plain_weights import check_dtypes
from .sources import Source

_ALPHA = "lora_alpha"
_WRITTEN = "Expected what a run with backbone.lora writes; merge adapters of another kind where they were trained."


def find_adapters(source: Source, prefix: str) -> list[str]:
    """Names of the adapters' tensors in a checkpoint, their strength among them.

    Args:
        source: The checkpoint.
        prefix: What stands before the encoder's names.
    """
    return sorted(name for name in source.reader.names if name.startswith(prefix) and is_lora(name))


def merge_adapters(encoder: InternViT, source: Source, prefix: str) -> None:
    """Read the adapters in a checkpoint, if there are any, and add them to an encoder's weights, in place.

    Args:
        encoder: The encoder that they were trained on.
        source: The checkpoint.
        prefix: What stands before the encoder's names.

    Raises:
        KeyMismatchError: An adapter or its strength is missing, or one has no place in the encoder.
        ShapeMismatchError: An adapter is of another shape than its layer and the rank of the others ask for.
        UnreadableWeightsError: An adapter or the strength is no plain number.
        NonFiniteWeightsError: An adapter is NaN or infinite, or the sum is so in the encoder's dtype.
    """
    names = find_adapters(source, prefix)
    if not names:
        return
    check_dtypes([(name, source.reader.dtype(name)) for name in names], source.where)
    found = {name.removeprefix(prefix): source.reader.read(name) for name in names}
    check_weights([(prefix + name, tensor) for name, tensor in found.items()], source.where)
    layers = [layer for layer in LAYERS if any(f".{layer}.lora_A." in name for name in found)]
    add_lora(encoder, _rank(found, source, prefix), _alpha(found, source, prefix), layers)
    places = {name: tensor for name, tensor in encoder.state_dict().items() if is_lora(name)}
    _check_places(found, places, source, prefix)
    encoder.load_state_dict(found, strict=False)
    merge_lora(encoder)
    for name in places:
        layer, is_first, _ = name.partition(".lora_A.")
        weight = encoder.get_parameter(f"{layer}.weight") if is_first else None
        if weight is not None and not is_finite(weight):
            dtype = str(weight.dtype).removeprefix("torch.")
            is_half = weight.dtype == torch.float16
            advice = "Use dtype='float32', which holds more" if is_half else "Take another checkpoint"
            raise NonFiniteWeightsError(
                f"{source.where}: {prefix}{layer}.weight and its adapter add up to what is not finite in {dtype}, "
                f"whose largest is {torch.finfo(weight.dtype).max:.3g}. {advice}."
            )


def _rank(found: dict[str, Tensor], source: Source, prefix: str) -> int:
    first = next((name for name in found if any(f".{layer}.lora_A." in name for layer in LAYERS)), "")
    if not first:
        raise KeyMismatchError(
            f"{source.where} holds {list_names([prefix + name for name in found])}, but no lora_A of "
            f"{', '.join(LAYERS)}, to which adapters belong. {_WRITTEN}"
        )
    shape = tuple(found[first].shape)
    if len(shape) != 2 or 0 in shape:
        raise ShapeMismatchError(f"{source.where}: {prefix}{first} is {shape}, expected (rank, in_features).")
    return shape[0]


def _alpha(found: dict[str, Tensor], source: Source, prefix: str) -> float:
    if _ALPHA not in found:
        raise KeyMismatchError(
            f"{source.where} holds adapters, but lacks {prefix}{_ALPHA}, by which their output is scaled. {_WRITTEN}"
        )
    alpha = found[_ALPHA]
    if alpha.numel() != 1 or alpha.is_complex() or alpha.dtype == torch.bool:
        raise UnreadableWeightsError(
            f"{source.where}: {prefix}{_ALPHA} is {alpha.dtype} of shape {tuple(alpha.shape)}, expected one number."
        )
    return alpha.item()


def _check_places(found: dict[str, Tensor], places: dict[str, Tensor], source: Source, prefix: str) -> None:
    """Check that a checkpoint's adapters are those of an encoder, none missing and none left over."""
    if found.keys() != places.keys():
        lacking = [prefix + name for name in places.keys() - found.keys()]
        excess = [prefix + name for name in found.keys() - places.keys()]
        raise KeyMismatchError(
            f"{source.where} holds adapters that do not fit the encoder. It lacks "
            f"{list_names(lacking) or 'nothing'}; it has too many: {list_names(excess) or 'none'}. {_WRITTEN}"
        )
    for name, place in places.items():
        if name != _ALPHA and found[name].shape != place.shape:
            raise ShapeMismatchError(
                f"{source.where}: {prefix}{name} is {tuple(found[name].shape)}, expected {tuple(place.shape)}: all "
                "adapters of a run have one rank."
            )
