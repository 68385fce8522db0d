"""Weights that a training begins with out of any checkpoint: those that fit are taken, and none in silence."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ..checkpoints.errors import printable
from ..checkpoints.finite_weights import check_weights
from ..checkpoints.whole_model import WrongWeightsError


def check_named(checkpoint: Any, where: str | os.PathLike[str]) -> None:
    """Check that a checkpoint has weights by name where MMEngine looks for them.

    Raises:
        WrongWeightsError: It has none.
    """
    state = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise WrongWeightsError(f"{where} holds no weights by name.")


def check_taken(
    model: nn.Module, state: Mapping[str, Any], where: str | os.PathLike[str], renamed: Sequence[tuple[str, str]]
) -> None:
    """Look at the weights that a model has taken from a checkpoint; others may be missing there.

    Args:
        model: The model, which has them now.
        state: Of :func:`internvl_seg.checkpoints.whole_model.take_state`.
        where: The checkpoint.
        renamed: Patterns in names, and what was put in their place.

    Raises:
        WrongWeightsError: None of its names is one of the model, or something under one is no tensor.
        NonFiniteWeightsError: They hold NaN or infinity.
    """
    names: dict[str, str] = {}
    for name in state:
        own = name
        for pattern, text in renamed:
            own = re.sub(pattern, text, own)
        names[own] = name
    taken = [(name, t) for name, t in (*model.named_parameters(), *model.named_buffers()) if name in names]
    if not taken:
        told = f"such as {printable(next(iter(state)))!r}" if state else "of which it has none"
        raise WrongWeightsError(
            f"{where} holds none of this model's weights, by the names that it has ({told}): nothing would be loaded. "
            "Weights of an encoder alone are set by model.backbone.init_cfg.checkpoint."
        )
    for name, _ in taken:
        if not isinstance(state[names[name]], Tensor):
            raise WrongWeightsError(
                f"{where} holds {names[name]} as {type(state[names[name]]).__name__}, expected a tensor."
            )
    check_weights([(name, t.to_local() if isinstance(t, DTensor) else t) for name, t in taken], where)
