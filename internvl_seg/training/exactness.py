"""Whether a run that is killed and resumed ends as one that is not, and if not, why."""

from typing import Any

from mmengine.hooks import CheckpointHook

from .hook_states import hooks_that_forget
from .loop import ResumableEpochLoop, ResumableTrainLoop
from .stream import SeededDataset


def why_inexact(runner: Any) -> list[str]:
    """What keeps a run from being resumed exactly; nothing if it will be.

    Args:
        runner: A runner that is about to train.
    """
    loop, hooks = runner.train_loop, runner.hooks
    reasons = []
    if not isinstance(loop, (ResumableEpochLoop, ResumableTrainLoop)):
        reasons.append(f"{type(loop).__name__} keeps random states of its own")
    elif not _is_seeded(loop.dataloader.dataset):
        sampler = type(getattr(loop.dataloader, "sampler", None)).__name__
        reasons.append(f"what {sampler} and this data loader draw does not depend on the seed and the position alone")
    if getattr(loop, "fast_forward_on_resume", False):
        reasons.append("with fast_forward_on_resume the data begin anew")
    for name in hooks_that_forget(hooks):
        reasons.append(f"{name} may remember what is in no checkpoint (state_dict and load_state_dict would save it)")
    writers = [hook for hook in hooks if isinstance(hook, CheckpointHook)]
    if not any(hook.save_optimizer and hook.save_param_scheduler for hook in writers):
        reasons.append("no CheckpointHook saves both the optimizer and the schedulers")
    if isinstance(loop, ResumableEpochLoop) and any(not hook.by_epoch for hook in writers):
        reasons.append("a CheckpointHook with by_epoch=False writes within an epoch, which is begun again")
    return reasons


def _is_seeded(dataset: Any) -> bool:
    """Whether a data set, or the one that MMEngine has cut to a length, is augmented by position."""
    return isinstance(dataset, SeededDataset) or isinstance(getattr(dataset, "_dataset", None), SeededDataset)
