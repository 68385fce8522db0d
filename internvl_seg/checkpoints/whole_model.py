"""Reading a checkpoint into a whole model, all of it or not at all."""

import os
from typing import Any

from torch import Tensor, nn

from .containers import CONTAINERS
from .errors import CheckpointError
from .finite_weights import check_weights
from .in_place import Mapped, reading_in_place
from .plain_weights import check_dtype
from .position_grid import tell_grids


class WrongWeightsError(CheckpointError):
    """A checkpoint does not hold the weights of the model that a config describes."""


def load_whole(
    model: nn.Module,
    checkpoint: Any,
    places: dict[int, Mapped],
    where: str | os.PathLike[str],
    config: object,
) -> None:
    """Load the weights of all of a model.

    Args:
        model: The model; what stands for weights in a checkpoint, such as a frozen encoder's reference, is its matter.
        checkpoint: As it was read.
        places: Where its tensors are in the file, as :func:`internvl_seg.checkpoints.in_place.find_places` says.
        where: Its file, for errors.
        config: Where the model is described, for errors.

    Raises:
        WrongWeightsError: Weights are missing, too many, of other shapes or no tensors.
        UnreadableWeightsError: Weights are quantised, or of a dtype that no weights have.
        NonFiniteWeightsError: Weights that were read are NaN or infinite.
        CheckpointError: Another subclass, if a part of the model says what is wrong.
    """
    tell_grids(checkpoint, str(where))
    state: Any = checkpoint
    for key in CONTAINERS:
        state = checkpoint.get(key, state) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise WrongWeightsError(f"{where} holds no weights by name.")
    own = [*model.named_parameters(), *model.named_buffers()]
    for name, tensor in own:
        if name not in state:
            continue
        if not isinstance(state[name], Tensor):
            raise WrongWeightsError(f"{where} holds {name} as {type(state[name]).__name__}, expected a tensor.")
        if tensor.is_floating_point() and tensor.dtype != state[name].dtype:
            check_dtype(name, state[name].dtype, where)
    try:
        with reading_in_place(places):
            missing, unexpected = model.load_state_dict(state, strict=False)
    except CheckpointError:
        raise
    except RuntimeError as error:
        raise WrongWeightsError(f"{where} holds another model's weights than {config} describes: {error}") from error
    own = [*model.named_parameters(), *model.named_buffers()]  # Others than before, if a part was put in place.
    check_weights([(name, tensor) for name, tensor in own if name in state], where)
    # Of what is not in the model, heads that only training needs are nothing to worry about.
    unexpected = [name for name in unexpected if not name.startswith("auxiliary_head.")]
    for found, names in (("lacks {} tensors of", missing), ("holds {} tensors that are not in", unexpected)):
        if names:
            raise WrongWeightsError(
                f"{where} {found.format(len(names))} the model that {config} describes, such as {names[0]!r}. "
                "Use the config it was trained with."
            )
