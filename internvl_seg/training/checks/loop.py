"""Loops, samplers and intervals that do not go together."""

from collections.abc import Iterator

from mmengine.config import Config

from .contradiction import Contradiction, option, type_name
from .schedule import Run


def check_loop(config: Config) -> Iterator[Contradiction]:
    """Find a training loop that its sampler or its checkpoints do not fit.

    Args:
        config: The config.
    """
    run, loop = Run.of(config), config.get("train_cfg") or {}
    if "type" in loop and "by_epoch" in loop:
        yield Contradiction(
            "train_cfg.by_epoch", f"= {loop['by_epoch']} stands beside type = {type_name(loop)!r}.", "Leave it out."
        )
    if run is None:
        if type_name(loop) in ("", "IterBasedTrainLoop", "EpochBasedTrainLoop"):
            name, value = ("max_epochs", 10) if type_name(loop) == "EpochBasedTrainLoop" else ("max_iters", 80000)
            yield Contradiction(
                f"train_cfg.{name}",
                "is missing: the training has no length.",
                f"Set {option(f'train_cfg.{name}', value)}, for example.",
            )
        return
    sampler = (config.get("train_dataloader") or {}).get("sampler") or {}
    if not run.by_iterations and type_name(sampler) == "InfiniteSampler":
        yield Contradiction(
            "train_dataloader.sampler.type",
            "= 'InfiniteSampler' never comes to the end of an epoch, for which train_cfg waits.",
            f"Set {option('train_cfg.type', 'IterBasedTrainLoop')}, which takes max_epochs, too, or "
            f"{option('train_dataloader.sampler.type', 'DefaultSampler')}.",
        )
    yield from _check_saving(config, run)


def _check_saving(config: Config, run: Run) -> Iterator[Contradiction]:
    """Find checkpoints that would never be saved, or in the midst of a step."""
    hooks = config.get("default_hooks") or {}
    hook, key = hooks.get("checkpoint"), "default_hooks.checkpoint"
    if "checkpoint" in hooks and hook is None:
        yield Contradiction(
            key, "= None: nothing of this run is saved.", "Name a CheckpointHook to save it.", fatal=False
        )
    if not isinstance(hook, dict) or type_name(hook) != "CheckpointHook":
        return
    try:
        str(hook.get("filename_tmpl") or "{}").format(1)
    except (KeyError, IndexError, ValueError):
        yield Contradiction(
            f"{key}.filename_tmpl",
            f"= {hook['filename_tmpl']!r}: the number of the iteration or epoch is put in the place of {{}}.",
            f"Set {option(f'{key}.filename_tmpl', 'iter_{}.pth')}, for example.",
        )
    interval, by_epoch = hook.get("interval", -1), hook.get("by_epoch", True)
    if run.by_iterations and by_epoch and interval > 0:
        yield Contradiction(
            f"{key}.by_epoch",
            f"= True{'' if 'by_epoch' in hook else ' (which is the default)'}, but train_cfg counts iterations: there "
            "would be no checkpoint before the end.",
            f"Set {option(f'{key}.by_epoch', False)}; its interval then counts iterations.",
            fatal=False,
        )
    counts_alike = by_epoch == (run.unit == "epochs")
    # A loop of iterations is one epoch to the hook, at whose end there is no interval.
    never = interval <= 0 or (by_epoch and run.by_iterations and interval > 1)
    never = never or (counts_alike and interval > run.length)
    if never and not hook.get("save_last", True) and not hook.get("save_best"):
        told = f" and interval = {interval}" if "interval" in hook else ""
        yield Contradiction(
            f"{key}.save_last",
            f"= False{told}, but {run.key} = {run.length}: nothing of the run would be saved.",
            f"Set {option(f'{key}.save_last', True)}.",
        )
    counts = (config.get("optim_wrapper") or {}).get("accumulative_counts", 1)
    if interval > 0 and interval % counts:
        yield Contradiction(
            f"{key}.interval",
            f"= {interval} is no multiple of optim_wrapper.accumulative_counts = {counts}: a run resumed from such a "
            "checkpoint would lose the gradients gathered so far.",
            f"Take {-(-interval // counts) * counts}.",
        )
