"""The weights among what a trainer saved with them."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from .errors import NotACheckpointError, UnreadableWeightsError, list_names
from .pickle_names import View
from .pickles import Made

logger = logging.getLogger(__name__)

# Keys under which trainers put the weights.
CONTAINERS = ("module", "state_dict", "model")
# Those of an average of the weights, or of one of two models: which of them is wanted is not always clear.
_OTHERS = ("teacher", "student", "model_ema", "state_dict_ema", "ema_model", "ema")


def _tensors(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        return {}
    kinds = (Tensor, View)
    return {
        k: v
        for k, v in found.items()
        if isinstance(k, str) and (isinstance(v, kinds) or (isinstance(v, Made) and "._rebuild_" in v.by))
    }


def tensors_of(checkpoint: Any, path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, out of the containers that trainers put around them.

    Args:
        checkpoint: As it was read, or described (:func:`internvl_seg.checkpoints.torch_files.look`).
        path: Its file, for messages.

    Raises:
        NotACheckpointError: There is no tensor in it, or there are several sets of them.
        UnreadableWeightsError: It is an optimizer's.
    """
    found, around = checkpoint, checkpoint
    for container in CONTAINERS:
        if isinstance(found, dict) and isinstance(found.get(container), dict):
            found, around = found[container], found
    if tensors := _tensors(found):
        if others := [key for key in _OTHERS if isinstance(around, dict) and _tensors(around.get(key))]:
            logger.warning("%s holds %s, too, which is not what is read.", path, list_names(others))
        return tensors
    raise_if_optimizer(checkpoint, path)
    sets = {key: held for key in _OTHERS if isinstance(found, dict) and (held := _inner(found.get(key)))}
    if len(sets) == 1:
        return next(iter(sets.values()))
    if not sets and isinstance(found, dict):
        sets = {key: held for key, value in found.items() if isinstance(key, str) and (held := _tensors(value))}
    if sets:
        key = next(iter(sets))
        raise NotACheckpointError(
            f"{path} holds tensors under {list_names([repr(key) for key in sets])}, and which of them is wanted is not "
            f"told. Take one out: torch.save(torch.load({path.name!r}, map_location='cpu', weights_only=True)[{key!r}]"
            ", 'weights.pth')."
        )
    told = f"keys {list_names([str(k) for k in found])}" if isinstance(found, dict) else type(found).__name__
    raise NotACheckpointError(
        f"{path} holds no tensors by name at its top level or under 'module', 'state_dict' or 'model'; found {told}."
    )


def _inner(found: Any) -> dict[str, Any]:
    """Tensors, also out of one container more."""
    inside = [found.get(key) for key in CONTAINERS] if isinstance(found, dict) else []
    return next((tensors for part in (found, *inside) if (tensors := _tensors(part))), {})


def raise_if_optimizer(checkpoint: Any, path: Path) -> None:
    """Refuse the state of an optimizer without weights.

    Raises:
        UnreadableWeightsError: It is one.
    """
    if not isinstance(checkpoint, dict):
        return
    names = {str(key) for key in checkpoint}
    if {"state", "param_groups"} <= names or "optimizer_state_dict" in names or names == {"optimizer"}:
        raise UnreadableWeightsError(
            f"{path} holds the state of an optimizer, no weights. Name the checkpoint of the model, beside it."
        )
