"""Averages and states of schedulers in checkpoints, and whether gradients are in none."""

from collections.abc import Iterable
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from .checkpoint_fields import AVERAGES, check_like, damaged
from .ema_hook import TrainedEMAHook
from .same_run import Difference, refuse

# What a scheduler takes from the length of the run, if its config does not say; a run may be made longer.
_OF_LENGTH = {"end", "total_iters", "T_max"}
_AVERAGING = dict(zip(AVERAGES, (EMAHook, TrainedEMAHook), strict=True))


def check_averages(checkpoint: dict[str, Any], hooks: Iterable[Hook], where: str) -> list[str]:
    """Check that averaged weights in a checkpoint are not taken for those that are trained.

    Returns:
        Hooks whose averages are not in the checkpoint, which begin anew.

    Raises:
        OtherRunError: They would be, since the hook that averages is not there.
    """
    kinds = [type(hook) for hook in hooks]
    begun_anew = []
    for key, hook in _AVERAGING.items():
        named = [kind.__name__ for kind in kinds if issubclass(kind, hook)]
        if key in checkpoint and not named:
            refuse(where, [Difference("custom_hooks", hook.__name__, None)])
        begun_anew += named if key not in checkpoint else []
    return begun_anew


def scheduler_states(schedulers: Any) -> Any:
    """States of schedulers, a list or lists by optimizer, without the functions that some keep in them."""
    if isinstance(schedulers, dict):
        return {name: scheduler_states(several) for name, several in schedulers.items()}
    return [{k: v for k, v in scheduler.state_dict().items() if not callable(v)} for scheduler in schedulers]


def load_schedulers(schedulers: Any, states: Any, where: str) -> None:
    """Give schedulers their states back; only what they have can be replaced.

    Raises:
        OtherRunError: The states are of other schedulers.
        NotResumableError: A state is damaged.
    """
    if isinstance(schedulers, dict):
        known = states if isinstance(states, dict) else {}
        for name, several in schedulers.items():
            load_schedulers(several, known.get(name), where)
        return
    if states is not None and not isinstance(states, list):
        raise damaged(where, "param_schedulers", states, "a list of states")
    if len(states or []) != len(schedulers):
        refuse(where, [Difference("number of schedulers", len(states or []), len(schedulers))])
    for i, (scheduler, state) in enumerate(zip(schedulers, states or [], strict=True)):
        own = {key: value for key, value in scheduler.state_dict().items() if not callable(value)}
        check_like(state, own, f"param_schedulers[{i}]", where)
        scheduler.load_state_dict({key: state[key] for key in own if key not in _OF_LENGTH})
        if state.get("end") == state.get("_global_step") < scheduler.end:
            # It had come to its end with a shorter run: its last step is made again, since it has not ended now.
            scheduler._global_step -= 1
            scheduler.step()


def is_within_accumulation(optimizer: Any) -> bool:
    """Whether gradients of some iterations have been gathered that no step has used: they are in no checkpoint."""
    several = optimizer.values() if isinstance(optimizer, OptimWrapperDict) else [optimizer]
    return any(isinstance(one, OptimWrapper) and not one.should_update() for one in several)
