"""What a checkpoint has to hold to be resumed from, and states of optimizers and schedulers as plain data."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from ..checkpoints.errors import CheckpointError
from .ema_hook import TRAINED, TrainedEMAHook
from .same_run import Difference, refuse

# What a scheduler takes from the length of the run, if its config does not say; a run may be made longer.
_OF_LENGTH = {"end", "total_iters", "T_max"}
# Where a hook saves averaged weights, or those that are trained in their place.
_AVERAGES = {"ema_state_dict": EMAHook, TRAINED: TrainedEMAHook}


class NotResumableError(CheckpointError):
    """A checkpoint holds weights, but not the state of a training."""


def read_meta(checkpoint: Any, where: str | os.PathLike[str]) -> dict[str, Any]:
    """The ``meta`` of a checkpoint that can be resumed from.

    Raises:
        NotResumableError: It cannot.
    """
    meta = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    done = [meta.get(key) if isinstance(meta, dict) else None for key in ("iter", "epoch")]
    counted = all(type(number) is int and number >= 0 for number in done)
    if counted and isinstance(meta, dict) and isinstance(checkpoint.get("state_dict"), dict):
        return meta
    raise NotResumableError(
        f"{os.fspath(where)} cannot be resumed from: it does not hold weights (state_dict) and how far the training "
        "was (meta), as checkpoints of a training do. A new run can take its weights: --cfg-options "
        f"load_from={os.fspath(where)}."
    )


def check_averages(checkpoint: dict[str, Any], hooks: Iterable[Hook], where: str) -> None:
    """Check that averaged weights in a checkpoint are not taken for those that are trained.

    Raises:
        OtherRunError: They would be, since the hook that averages is not there.
    """
    kinds = [type(hook) for hook in hooks]
    for key, hook in _AVERAGES.items():
        if key in checkpoint and not any(issubclass(kind, hook) for kind in kinds):
            refuse(where, [Difference("custom_hooks", hook.__name__, None)])


def scheduler_states(schedulers: Any) -> Any:
    """States of schedulers, a list or lists by optimizer, without the functions that some keep in them."""
    if isinstance(schedulers, dict):
        return {name: scheduler_states(several) for name, several in schedulers.items()}
    return [{k: v for k, v in scheduler.state_dict().items() if not callable(v)} for scheduler in schedulers]


def load_schedulers(schedulers: Any, states: Any, where: str) -> None:
    """Give schedulers their states back; only what they have can be replaced.

    Raises:
        OtherRunError: The states are of other schedulers.
    """
    if isinstance(schedulers, dict):
        known = states if isinstance(states, dict) else {}
        for name, several in schedulers.items():
            load_schedulers(several, known.get(name), where)
        return
    count = len(states) if isinstance(states, list) else None
    if count != len(schedulers):
        refuse(where, [Difference("number of schedulers", count, len(schedulers))])
    for scheduler, state in zip(schedulers, states, strict=True):
        has = {k for k, v in scheduler.state_dict().items() if not callable(v)} - _OF_LENGTH
        scheduler.load_state_dict({k: v for k, v in state.items() if k in has})
        if state.get("end") == state.get("_global_step") < scheduler.end:
            # It had come to its end with a shorter run: its last step is made again, since it has not ended now.
            scheduler._global_step -= 1
            scheduler.step()


@contextmanager
def explaining_optimizer(where: str) -> Iterator[None]:
    """Say in words that an optimizer's state does not fit.

    Raises:
        OtherRunError: It does not.
    """
    try:
        yield
    except (ValueError, KeyError, RuntimeError, AssertionError, TypeError, AttributeError) as error:
        refuse(where, [Difference("optimizer", "a state of another one", str(error))])


def is_within_accumulation(optimizer: Any) -> bool:
    """Whether gradients of some iterations have been gathered that no step has used: they are in no checkpoint."""
    several = optimizer.values() if isinstance(optimizer, OptimWrapperDict) else [optimizer]
    return any(isinstance(one, OptimWrapper) and not one.should_update() for one in several)
