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
    run = Run.of(config)
    if run is None:
        return
    sampler = (config.get("train_dataloader") or {}).get("sampler") or {}
    if not run.by_iterations and type_name(sampler) == "InfiniteSampler":
        yield Contradiction(
            "train_dataloader.sampler.type",
            "= 'InfiniteSampler' never comes to the end of an epoch, for which train_cfg waits.",
            f"Set {option('train_cfg.type', 'IterBasedTrainLoop')}, which takes max_epochs, too, or "
            f"{option('train_dataloader.sampler.type', 'DefaultSampler')}.",
        )
    hook = (config.get("default_hooks") or {}).get("checkpoint")
    if isinstance(hook, dict) and run.by_iterations and hook.get("by_epoch", True) and hook.get("interval", -1) > 0:
        yield Contradiction(
            "default_hooks.checkpoint.by_epoch",
            f"= True{'' if 'by_epoch' in hook else ' (which is the default)'}, but train_cfg counts iterations: there "
            "would be no checkpoint before the end.",
            f"Set {option('default_hooks.checkpoint.by_epoch', False)}; its interval then counts iterations.",
            fatal=False,
        )
    counts = (config.get("optim_wrapper") or {}).get("accumulative_counts", 1)
    interval = hook.get("interval", -1) if isinstance(hook, dict) else -1
    if interval > 0 and interval % counts:
        yield Contradiction(
            "default_hooks.checkpoint.interval",
            f"= {interval} is no multiple of optim_wrapper.accumulative_counts = {counts}: a run resumed from such a "
            "checkpoint would lose the gradients gathered so far.",
            f"Take {-(-interval // counts) * counts}.",
        )
