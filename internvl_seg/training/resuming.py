"""Going on from a checkpoint: which one, whether it is of this run, and every part of its state."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.model.wrappers import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DATASETS, init_default_scope

from ..checkpoints.config_text import parse_config_text
from ..checkpoints.finite_weights import check_weights
from ..checkpoints.reading import read_pickle
from .checkpoint_fields import AVERAGES, NotResumableError, check_fields, check_like, damaged, read_meta
from .ema_hook import TrainedEMAHook
from .hook_states import load_hook_states
from .last_checkpoint import find_last_checkpoint, naming_an_older_one
from .optimizer_states import check_optimizers, load_optimizers
from .run_config import RunConfig, run_config
from .same_run import (
    Difference,
    check_length,
    compare_classes,
    compare_configs,
    compare_samples,
    compare_weights,
    explain_length,
    refuse,
)
from .saving import plain

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


def decide_checkpoint(config: Config, resume: bool, processes: int) -> None:
    """Let a run begin anew or go on from its last checkpoint: of the work folder, whatever ``load_from`` says.

    Args:
        config: The config; its ``resume``, ``load_from`` and seed are set.
        resume: Whether it is to go on, if there is a checkpoint.
        processes: How many train.

    Raises:
        CheckpointError: The last checkpoint cannot be read, or is of another run.
    """
    hook = config.get("default_hooks", {}).get("checkpoint")
    last = find_last_checkpoint(config.work_dir, hook) if resume else None
    config.resume = last is not None
    if last is None:
        if resume and config.get("load_from"):
            print_log(f"No checkpoint in {config.work_dir}: the run begins, with the weights of {config.load_from}.")
        return
    with naming_an_older_one(last, config.work_dir, hook):
        meta = read_meta(read_pickle(last), last)
    now = parse_config_text(cast(RunConfig, run_config(config)).pretty_text)
    differences = list(compare_configs(meta, now, processes))
    advice = ""
    if differences:
        differences = [*compare_classes(meta, _metainfo(config)), *differences]
        resolved = Path(config.work_dir, Path(config.filename).name)
        advice = explain_length(last, meta, now, differences, resolved)
    refuse(last, differences, advice)
    config.load_from = os.fspath(last)
    if meta.get("seed") is not None:
        # What is drawn and how it is augmented depends on it, and a run without a seed of its own drew one.
        config.randomness = {**(config.get("randomness") or {}), "seed": meta["seed"]}


def _metainfo(config: Config) -> dict[str, Any] | None:
    """What the training set says of itself, such as its classes; None if it cannot be built without its samples."""
    init_default_scope(config.get("default_scope", "mmseg"))
    with contextlib.suppress(Exception):  # The set may be of anybody's, and this is only for a message.
        return dict(DATASETS.build({**config.train_dataloader.dataset, "lazy_init": True}).metainfo)
    return None


def resume_from(runner: Any, checkpoint: Any, filename: str, with_optimizer: bool, with_schedulers: bool) -> None:
    """Compare a checkpoint that was read with a run; then take it, part by part.

    Args:
        runner: The runner, a ``ResumableRunner``.
        checkpoint: As it was read.
        filename: Its file.
        with_optimizer: Whether to take the optimizer's state.
        with_schedulers: Whether to take the schedulers' states.

    Raises:
        CheckpointError: As of ``ResumableRunner.resume``.
    """
    meta, loop = read_meta(checkpoint, filename), runner.train_loop
    check_fields(checkpoint, filename)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    dataset = runner.train_dataloader.dataset
    metainfo = plain(getattr(dataset, "metainfo", None), "metainfo of the training set")
    differences = [*compare_classes(meta, metainfo), *compare_samples(meta, dataset)]
    refuse(filename, [*differences, *compare_weights(_trained_state(checkpoint), model)])
    check_length(meta, loop, filename)
    if not {"optimizer", "param_schedulers"} & set(checkpoint) and with_optimizer and with_schedulers and meta["iter"]:
        raise NotResumableError(
            f"{filename} holds neither an optimizer nor schedulers, as those named best_* do not: no run can go "
            "on from it. Write the name of another checkpoint of the run into last_checkpoint; or begin a run with "
            f"these weights: --cfg-options load_from={filename}."
        )
    begun_anew = check_averages(checkpoint, runner.hooks, filename)
    if with_optimizer and "optimizer" not in checkpoint:
        begun_anew.append("the optimizer")
        with_optimizer = False
    if with_optimizer:
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        if not check_optimizers(runner.optim_wrapper, checkpoint["optimizer"], filename) and meta["iter"]:
            begun_anew.append("the moments of the optimizer")
    for averages in AVERAGES:
        check_weights(checkpoint.get(averages, {}).items(), f"{filename}: {averages}")
    runner.take_weights(checkpoint, filename)
    loop._epoch, loop._iter = meta["epoch"], meta["iter"]
    _resume_seed(runner, meta.get("seed"))
    if "dataset_meta" in meta and plain(meta["dataset_meta"]) != metainfo:
        runner.logger.warning("The metainfo of the training set is another one than in the checkpoint.")
    if "message_hub" in checkpoint:
        runner.message_hub.load_state_dict(checkpoint["message_hub"])
    else:
        begun_anew.append("the message hub (best scores)")
    if with_optimizer:
        load_optimizers(runner.optim_wrapper, checkpoint["optimizer"], filename)
    if with_schedulers and runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        load_schedulers(runner.param_schedulers, checkpoint.get("param_schedulers"), filename)
    begun_anew += load_hook_states(runner, checkpoint.get("hooks", {}), filename)
    if begun_anew:
        names = ", ".join(begun_anew)
        runner.logger.warning(f"{filename} holds no state of {names}, which begin anew: this run is not exact.")


def _resume_seed(runner: Any, seed: int | None) -> None:
    """Go on with the seed of the run, whatever the config says."""
    current = runner._randomness_cfg.get("seed")
    if seed is not None and seed != current:
        if current is not None:
            runner.logger.warning(f"The run's seed is {seed}; randomness.seed = {current} is not used.")
        runner._randomness_cfg.update(seed=seed)
        runner.set_randomness(**runner._randomness_cfg)


def _trained_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Weights by name; of several processes, their names may have a prefix."""
    return {name.removeprefix("module."): tensor for name, tensor in checkpoint["state_dict"].items()}
