"""What hooks remember, in checkpoints; and whether that is all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.hooks import EarlyStoppingHook, Hook

from .checkpoint_fields import damaged, is_number

# Hooks whose packages are known: what they remember is saved by them, by the checkpoint hook or below.
_KNOWN = ("mmengine.hooks.", "mmseg.engine.hooks.", "internvl_seg.")
_KNOWN_OF_MMPRETRAIN = {"ClassNumCheckHook", "EMAHook", "PreciseBNHook", "VisualizationHook"}


class _EarlyStopping:
    """What MMEngine's ``EarlyStoppingHook`` remembers, which it does not save."""

    def __init__(self, hook: EarlyStoppingHook, runner: Any) -> None:
        self._hook, self._runner = hook, runner

    def state_dict(self) -> dict[str, Any]:
        """The count of validations without gain, the best score, and whether it has stopped the run, and when."""
        stopped = bool(self._runner.train_loop.stop_training)
        count = {"wait_count": self._hook.wait_count, "patience": self._hook.patience}
        return {**count, "best_score": self._hook.best_score, "stopped": stopped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with them."""
        if not is_number(state["best_score"]):
            raise TypeError(f"best_score is {state['best_score']!r}, expected a number")
        self._hook.wait_count = int(state["wait_count"])
        self._hook.best_score = float(state["best_score"])
        if state["stopped"] and self._hook.patience <= state.get("patience", self._hook.patience):
            self._runner.logger.info(
                f"The run was stopped early, at iteration {self._runner.iter}, and stays so. To go on, resume it with "
                f"a patience of EarlyStoppingHook above {self._hook.patience}, or without this hook."
            )
            self._runner.train_loop.stop_training = True


def _stateful(runner: Any) -> Iterator[tuple[str, Any]]:
    """Hooks that have a state, by a name that is the same in a resumed run: the class, and which of several."""
    seen: Counter[str] = Counter()
    for hook in runner.hooks:
        name = type(hook).__name__
        seen[name] += 1
        key = name if seen[name] == 1 else f"{name}[{seen[name] - 1}]"
        if isinstance(hook, EarlyStoppingHook):
            yield key, _EarlyStopping(hook, runner)
        elif _saves_itself(hook):
            yield key, hook


def _saves_itself(hook: Hook) -> bool:
    return callable(getattr(hook, "state_dict", None)) and callable(getattr(hook, "load_state_dict", None))


def hook_states(runner: Any) -> dict[str, Any]:
    """States of a runner's hooks, for a checkpoint: of those with ``state_dict`` and ``load_state_dict``."""
    return {key: hook.state_dict() for key, hook in _stateful(runner)}


def load_hook_states(runner: Any, states: Mapping[str, Any], where: str) -> list[str]:
    """Give a runner's hooks their states back.

    Args:
        runner: The runner.
        states: As :func:`hook_states` gave them.
        where: The checkpoint that they are from.

    Returns:
        The hooks that have none in the checkpoint, which begin anew.

    Raises:
        NotResumableError: A hook cannot read its state.
    """
    begun_anew = []
    for key, hook in _stateful(runner):
        if key not in states:
            begun_anew.append(key)
            continue
        try:
            hook.load_state_dict(states[key])
        except Exception as error:  # A hook may be of anybody's.
            expected = f"what {key} can read ({type(error).__name__}: {error})"
            raise damaged(where, f"hooks.{key}", states[key], expected) from error
    if left := [key for key in states if key not in dict(_stateful(runner))]:
        runner.logger.warning(f"{where} holds the state of {', '.join(map(str, left))}, which this run does not have.")
    return begun_anew


def hooks_that_forget(hooks: Iterable[Hook]) -> list[str]:
    """Names of hooks that may remember something which no checkpoint holds."""
    return [type(hook).__name__ for hook in hooks if not (_is_known(hook) or _saves_itself(hook) or _is_empty(hook))]


def _is_known(hook: Hook) -> bool:
    module, name = type(hook).__module__, type(hook).__name__
    return module.startswith(_KNOWN) or (module.startswith("mmpretrain.") and name in _KNOWN_OF_MMPRETRAIN)


def _is_empty(hook: Hook) -> bool:
    """Whether a hook has no place to remember anything in."""
    return not set(vars(hook)) - {"priority"}
