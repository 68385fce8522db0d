"""The weights among what a trainer saved with them: one rule for everything that reads a checkpoint."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .errors import NotACheckpointError, UnreadableWeightsError, list_names, printable
from .pickle_names import ARRAYS, View
from .pickles import Made

logger = logging.getLogger(__name__)

# Keys under which trainers put the weights, also one within the other.
CONTAINERS = ("module", "state_dict", "model", "model_state_dict", "model_state")
# Those of an average of the weights, or of one of two models: which of them is wanted is not always clear.
_OTHERS = ("teacher", "student", "model_ema", "state_dict_ema", "ema_state_dict", "ema_model", "ema")
# Deeper are no weights.
_DEEPEST = 4

# Keys that lead to a dict, from the outermost one on.
Keys = tuple[str, ...]


def _is_tensor(value: Any, arrays: bool = False) -> bool:
    if arrays and (isinstance(value, np.ndarray) or (isinstance(value, Made) and value.by in ARRAYS)):
        return True
    return isinstance(value, (Tensor, View)) or (isinstance(value, Made) and "._rebuild_" in value.by)


def _tensors(found: Any, arrays: bool = False) -> dict[str, Any]:
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(name, str) and _is_tensor(value, arrays)}


def _sets(found: Any, keys: Keys, seen: set[int]) -> Iterator[Keys]:
    """Where there are tensors by name, each dict once however often it is referred to."""
    if not isinstance(found, dict) or id(found) in seen:
        return
    seen.add(id(found))
    if _tensors(found, arrays=set(keys) <= set(CONTAINERS)):
        yield keys
    if len(keys) < _DEEPEST:
        for key, value in found.items():
            if isinstance(key, str):
                yield from _sets(value, (*keys, key), seen)


def _innermost(sets: list[Keys]) -> list[Keys]:
    """Without those around another one: beside weights there may be counters."""
    return [keys for keys in sets if not any(other != keys and other[: len(keys)] == keys for other in sets)]


def get(checkpoint: Any, keys: Keys) -> Any:
    """What stands in a checkpoint at some keys."""
    for key in keys:
        checkpoint = checkpoint[key]
    return checkpoint


def find_weights(checkpoint: Any, path: Path | str) -> Keys | None:
    """The keys at which a checkpoint has its weights.

    These are the tensors under ``module``, ``state_dict``, ``model`` and ``model_state_dict`` (of PyTorch's tutorial),
    one within the other if need be, else those of the top level; else those of an average, or of one of two models, if
    there is one set of them.

    Args:
        checkpoint: As it was read, or described (:func:`internvl_seg.checkpoints.torch_files.look`).
        path: Its file, for messages.

    Returns:
        None if there is no tensor in it.

    Raises:
        NotACheckpointError: There are several sets of tensors, and none goes before the others.
        UnreadableWeightsError: It is an optimizer's.
    """
    sets = list(_sets(checkpoint, (), set()))
    known = {*CONTAINERS, *_OTHERS}
    for chosen in (
        _innermost([keys for keys in sets if set(keys) <= set(CONTAINERS)]),
        _innermost([keys for keys in sets if set(keys) <= known]),
    ):
        if len(chosen) == 1:
            return chosen[0]
        if chosen:
            raise _several(chosen, path)
    raise_if_optimizer(checkpoint, path)
    if sets:
        raise _several(sets, path)
    return None


def _several(sets: list[Keys], path: Path | str) -> NotACheckpointError:
    quoted = [".".join(keys) for keys in sets]
    place = "".join(f"[{printable(key)!r}]" for key in sets[0])
    return NotACheckpointError(
        f"{path} holds tensors under {list_names([repr(keys) for keys in quoted])}, and which of them is wanted is not "
        f"told. Take one out: torch.save(torch.load({Path(path).name!r}, map_location='cpu', weights_only=True){place}"
        ", 'weights.pth')."
    )


def has_weights(checkpoint: Any) -> bool:
    """Whether there are tensors by name in a checkpoint, wherever that is."""
    return any(True for _ in _sets(checkpoint, (), set()))


def tensors_of(checkpoint: Any, path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, out of the containers that trainers put around them (:func:`find_weights`).

    Raises:
        NotACheckpointError: There is no tensor in it, or there are several sets of them.
        UnreadableWeightsError: It is an optimizer's.
    """
    keys = find_weights(checkpoint, path)
    if keys is not None:
        return _tensors(get(checkpoint, keys), arrays=set(keys) <= set(CONTAINERS))
    told = f"keys {list_names([str(k) for k in checkpoint])}" if isinstance(checkpoint, dict) else _kind(checkpoint)
    raise NotACheckpointError(
        f"{path} holds no tensors by name at its top level or under 'module', 'state_dict' or 'model'; found {told}."
    )


def _kind(found: Any) -> str:
    return type(found).__name__


def tell_others(checkpoint: Any, path: Path) -> None:
    """Say in the log which average, or which other model, is beside the weights and not read."""
    keys = find_weights(checkpoint, path)
    # MMEngine writes the average as state_dict, and what it is an average of as ema_state_dict.
    others = set(_OTHERS) - ({"ema_state_dict"} if isinstance(checkpoint, dict) and "meta" in checkpoint else set())
    beside = [found for found in _sets(checkpoint, (), set()) if found != keys and set(found) & others]
    if keys is not None and beside:
        told = list_names([".".join(found) for found in beside])
        logger.warning("%s holds %s, too, which is not what is read.", path, told)


def raise_if_optimizer(checkpoint: Any, path: Path | str) -> None:
    """Refuse the state of an optimizer without weights.

    Raises:
        UnreadableWeightsError: It is one.
    """
    if not isinstance(checkpoint, dict):
        return
    names = {str(key) for key in checkpoint}
    others = [keys for keys in _sets(checkpoint, (), set()) if keys and not keys[0].startswith("optim")]
    is_one = {"state", "param_groups"} <= names or names == {"optimizer"}
    if is_one or ("optimizer_state_dict" in names and not others):
        raise UnreadableWeightsError(
            f"{path} holds the state of an optimizer, no weights. Name the checkpoint of the model, beside it."
        )
