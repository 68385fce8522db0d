"""An optimizer's state out of a checkpoint: all that its next step needs, or an error that names what is wrong."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ..checkpoints.errors import NonFiniteWeightsError
from ..common.finite import describe_non_finite, is_finite
from .checkpoint_fields import check_like, damaged, is_number
from .same_run import Difference, refuse

# Of parts of MMEngine's wrappers that are saved beside the optimizer's own.
_OF_WRAPPERS = ("loss_scaler", "base_param_settings")


def check_optimizers(wrapper: Any, state: Mapping[str, Any], where: str | os.PathLike[str]) -> bool:
    """Check that a state in a checkpoint is one of these optimizers; nothing is loaded.

    Args:
        wrapper: MMEngine's wrapper of an optimizer, or of several.
        state: What its ``state_dict()`` was.
        where: The checkpoint.

    Returns:
        Whether the optimizers have moments there, if they keep any.

    Raises:
        OtherRunError: It is of other optimizers, or of other weights.
        NotResumableError: It is damaged.
    """
    names = set(wrapper.keys()) if isinstance(wrapper, OptimWrapperDict) else set()
    if names and names != set(state):
        refuse(where, [Difference("optimizers", sorted(map(str, state)), sorted(names))])
    there = [_check(one, part, field, where) for one, part, field in _parts(wrapper, state)]
    return all(there)


def _parts(wrapper: Any, state: Mapping[str, Any]) -> Iterator[tuple[Any, Any, str]]:
    """Each optimizer's wrapper with its state, and where that stands."""
    if isinstance(wrapper, OptimWrapperDict):
        for name, one in wrapper.items():
            yield one, state[name], f"optimizer.{name}"
    else:
        yield wrapper, state, "optimizer"


def _check(wrapper: Any, state: Any, field: str, where: str | os.PathLike[str]) -> bool:
    optimizer = wrapper.optimizer
    moments, groups = (state.get(key) if isinstance(state, dict) else None for key in ("state", "param_groups"))
    if not isinstance(moments, dict) or not isinstance(groups, list):
        raise damaged(where, field, state, "a dict with the dict 'state' and the list 'param_groups'")
    for name in _OF_WRAPPERS:
        own: Any = getattr(wrapper, name, None)
        own = own.state_dict() if hasattr(own, "state_dict") else own
        if own is not None and name in state:
            check_like(state[name], own, f"{field}.{name}", where)
    if len(groups) != len(optimizer.param_groups):
        refuse(where, [Difference(f"groups of the {field}", len(groups), len(optimizer.param_groups))])
    there, kept, numbers = False, False, set()
    for i, (group, own) in enumerate(zip(groups, optimizer.param_groups, strict=True)):
        place = f"{field}.param_groups[{i}]"
        weights = _check_group(group, own, place, where)
        numbers |= set(weights)
        for number, parameter in zip(weights, own["params"], strict=True):
            made = _made_by(optimizer, own, parameter.dim())
            _check_moments(moments.get(number, {}), made, parameter, f"{field}.state[{number}]", where)
            kept |= bool(made)
            there |= bool(moments.get(number))
    if unknown := [key for key in moments if key not in numbers]:
        raise damaged(where, f"a key of {field}.state", unknown[0], "the number of a weight in param_groups")
    return there or not kept


def _check_group(group: Any, own: Mapping[str, Any], place: str, where: str | os.PathLike[str]) -> list[int]:
    """Check a group's options, and give the numbers of its weights."""
    if not isinstance(group, dict):
        raise damaged(where, place, group, "a dict of an optimizer's options")
    weights = group.get("params")
    if not isinstance(weights, list) or not all(type(number) is int for number in weights):
        raise damaged(where, f"{place}.params", weights, "a list of whole numbers")
    if len(weights) != len(own["params"]):
        refuse(where, [Difference(f"weights in {place}", len(weights), len(own["params"]))])
    for key, value in own.items():
        if key in group and key != "params":  # PyTorch adds an option that an older version of it did not have.
            check_like(group[key], value, f"{place}.{key}", where)
    if "lr" in own and (not is_number(group.get("lr")) or group["lr"] < 0) and not isinstance(own["lr"], Tensor):
        raise damaged(where, f"{place}.lr", group.get("lr"), "a number from 0")
    return weights


def _check_moments(
    found: Any, made: Mapping[str, Any], parameter: Tensor, field: str, where: str | os.PathLike[str]
) -> None:
    """Check what an optimizer remembers of a weight, which is nothing if it had no gradient yet."""
    if not isinstance(found, dict):
        raise damaged(where, field, found, "a dict")
    for name, value in made.items() if found else ():
        if not isinstance(value, Tensor):
            check_like(found.get(name), value, f"{field}.{name}", where)
        elif value.dim() == 0:
            number = found.get(name)
            number = number.item() if isinstance(number, Tensor) and number.numel() == 1 else number
            check_like(number, 0.0, f"{field}.{name}", where)
        else:
            whole = value.shape == (2,) * parameter.dim()
            moment, shape = found.get(name), tuple(parameter.shape)
            if not isinstance(moment, Tensor) or (whole and tuple(moment.shape) != shape):
                raise damaged(where, f"{field}.{name}", moment, f"a tensor{f' of shape {shape}' if whole else ''}")


def _made_by(optimizer: torch.optim.Optimizer, group: Mapping[str, Any], dims: int) -> dict[str, Any]:
    """What an optimizer remembers of a weight after a step, found out on one of 2 x 2 x ... values.

    Of an optimizer that needs more than a gradient for a step, nothing is known.
    """
    weight = nn.Parameter(torch.zeros((2,) * dims))
    weight.grad = torch.zeros_like(weight)
    try:
        twin = type(optimizer)([{**group, "params": [weight]}])  # type: ignore[call-arg]  # Of some kind.
        twin.step()
    except Exception:  # An optimizer may be of anybody's.
        return {}
    return dict(twin.state[weight])


def load_optimizers(wrapper: Any, state: Mapping[str, Any], where: str | os.PathLike[str]) -> None:
    """Give optimizers a state that was checked, and look at its numbers, which are read now.

    Raises:
        OtherRunError: They do not take it.
        NotResumableError: It lacks an option of theirs.
        NonFiniteWeightsError: It holds NaN or infinity.
    """
    options = [[set(group) for group in one.optimizer.param_groups] for one, _, _ in _parts(wrapper, state)]
    try:
        wrapper.load_state_dict(state)
    except (ValueError, KeyError, RuntimeError, AssertionError, TypeError, AttributeError) as error:
        refuse(where, [Difference("optimizer", "a state of another one", str(error))])
    for (one, _, field), expected in zip(_parts(wrapper, state), options, strict=True):
        for i, (group, keys) in enumerate(zip(one.optimizer.param_groups, expected, strict=True)):
            if missing := keys - set(group):
                raise damaged(where, f"{field}.param_groups[{i}].{sorted(missing)[0]}", None, "an option")
        weights = [weight for group in one.optimizer.param_groups for weight in group["params"]]
        for number, weight in enumerate(weights):
            for name, value in one.optimizer.state.get(weight, {}).items():
                value = value.to_local() if isinstance(value, DTensor) else value
                if isinstance(value, Tensor) and not is_finite(value):
                    raise NonFiniteWeightsError(
                        f"{os.fspath(where)}: {field}.state[{number}].{name}: {describe_non_finite(value)}. The file "
                        "is damaged, or of a training that diverged: take another checkpoint."
                    )
