"""Reading a checkpoint into a whole model, all of it or not at all."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from . import meta_config
from .containers import find_weights, get
from .errors import CheckpointError
from .finite_weights import check_weights
from .in_place import Mapped, reading_in_place
from .input_norm import warn_of_other_norm
from .other_shapes import describe_shapes
from .plain_weights import check_dtype, check_dtypes
from .position_grid import tell_grids
from .reference import is_reference, readable_reference
from .told import OWN, Told, check_fits, read_own
from .weight_names import plain_names


class WrongWeightsError(CheckpointError):
    """A checkpoint does not hold the weights of the model that a config describes."""


def take_state(
    model: nn.Module, checkpoint: Any, where: str | os.PathLike[str], config: object, *, whole: bool = True
) -> "OrderedDict[str, Any]":
    """The weights in a checkpoint by a model's own names, after what is told of them was compared with the model.

    Args:
        model: The model that is to have them.
        checkpoint: As it was read.
        where: Its file, for errors.
        config: Where the model is described, for errors.
        whole: Whether the heads are to have the checkpoint's weights, too, and so need the maps of the same blocks.

    Returns:
        A state dict, whose metadata say what is told of position grids.

    Raises:
        WrongWeightsError: There are no weights by name.
        NotACheckpointError: There are several sets of weights.
        WrongConfigError: The checkpoint's encoder computes something else than the model's with the same weights.
        UnreadableWeightsError: Weights are quantised, or of a dtype that no weights have.
    """
    keys = find_weights(checkpoint, str(where))
    around = checkpoint if isinstance(checkpoint, Mapping) else {}
    state: Any = around.get("state_dict", checkpoint) if keys is None else get(checkpoint, keys)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise WrongWeightsError(f"{where} holds no weights by name.")
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    state = _renamed(state, plain_names(state, str(where), own))
    state.update({name: readable_reference(state[name], where) for name in state if is_reference(name)})
    check_dtypes([(name, value.dtype) for name, value in state.items() if isinstance(value, Tensor)], where)
    _check_use(model, around, str(where), config, whole)
    if whole:
        warn_of_other_norm(model, around, str(where), config)
    return tell_grids(around, state, str(where))


def _renamed(state: Mapping[str, Any], names: Mapping[str, str]) -> "OrderedDict[str, Any]":
    """A state dict by other names, and so its metadata, which modules keep versions in."""
    found = OrderedDict((new, state[name]) for new, name in names.items())
    metadata = getattr(state, "_metadata", None) or {}
    modules = {name.rpartition(".")[0]: new.rpartition(".")[0] for new, name in names.items()}
    found._metadata = {modules.get(name, name): about for name, about in metadata.items()}  # type: ignore[attr-defined]
    return found


def _check_use(model: nn.Module, checkpoint: Mapping[str, Any], where: str, config: object, whole: bool) -> None:
    """Compare what a checkpoint tells of its encoder with the model's, where names and shapes are the same.

    Raises:
        WrongConfigError: They differ.
    """
    for name, module in model.named_modules():
        used: dict[str, Any] = module.config_values() if hasattr(module, "config_values") else {}
        if not used:
            continue
        if not whole:
            del used["out_indices"]
        own = read_own(checkpoint.get(OWN), where)
        told = meta_config.read_told(checkpoint, f"{name}.", where, by_name=True)
        for one in (own, told):
            if one is not None:
                what = f"{config or 'the config'} has {{}} there (model.{name})"
                check_fits(
                    _counted_from_0(one, module),
                    used,
                    what,
                    "The same weights compute something else with it. Use the config that they were trained with.",
                )


def _counted_from_0(told: Told, backbone: Any) -> Told:
    """What is told, with blocks counted as a backbone counts them."""
    if "out_indices" not in told.values:
        return told
    try:
        indices = tuple(backbone.resolve_indices(told.values["out_indices"]))
    except (ValueError, TypeError):  # Of another depth, or none that a backbone has.
        return told
    return replace(told, values=told.values | {"out_indices": indices})


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
        NonFiniteWeightsError: Weights that were read are NaN or infinite.
        CheckpointError: Another subclass, as :func:`take_state` says, or if a part of the model says what is wrong.
    """
    state = take_state(model, checkpoint, where, config)
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
        told = str(error)
        if other := [name for name, _ in own if name in state and f"size mismatch for {name}:" in told]:
            around = checkpoint if isinstance(checkpoint, Mapping) else {}
            raise WrongWeightsError(describe_shapes(model, state, other, around, where, config)) from error
        told = " ".join(told.split())
        raise WrongWeightsError(f"{where} holds another model's weights than {config} describes: {told}") from error
    own = [*model.named_parameters(), *model.named_buffers()]  # Others than before, if a part was put in place.
    # What a part of the model has renamed, such as an official classifier, was read, too.
    known = {*unexpected, *(name for name, _ in own)}
    taken = {name: value for name, value in state.items() if isinstance(value, Tensor) and name not in known}
    check_weights([*((name, tensor) for name, tensor in own if name in state), *taken.items()], where)
    # Of what is not in the model, heads that only training needs are nothing to worry about.
    unexpected = [name for name in unexpected if not name.startswith("auxiliary_head.")]
    for found, names in (("lacks {} tensors of", missing), ("holds {} tensors that are not in", unexpected)):
        if names:
            raise WrongWeightsError(
                f"{where} {found.format(len(names))} the model that {config} describes, such as {names[0]!r}. "
                "Use the config it was trained with."
            )
