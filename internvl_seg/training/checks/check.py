"""All checks of a config, before anything is read or built."""

import os
from collections.abc import Iterable

from mmengine.config import Config
from rich.console import Console

from ..config import ConfigError, is_segmentation
from .annotations import check_annotations
from .bands import check_bands
from .batch_norm import check_batch
from .contradiction import Contradiction
from .custom_keys import check_custom_keys
from .data import check_data
from .evaluators import check_evaluators
from .fields import check_fields
from .gaps import check_gaps
from .heads import check_heads
from .initializers import check_initializers
from .layers import check_layers_named
from .loaders import check_functions
from .loop import check_loop
from .loss_names import check_loss_names
from .losses import check_losses
from .monitored import check_monitored
from .normalisation import check_normalisation
from .optimizer import check_optimizer
from .parts import check_parts, check_scored_loaders
from .pipeline import check_pipelines
from .schedule import check_schedules
from .shape import check_shape
from .sizes import check_sizes
from .unread import check_unread

# Where each launcher says which process this is, and how many there are.
_PROCESSES = {
    "pytorch": ("RANK", "WORLD_SIZE"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
}


def check_form(config: Config, action: str, options: Iterable[str] = ()) -> None:
    """Find parts of a config that are missing, of the wrong kind or read by nothing, so that others can be looked at.

    Args:
        config: The config.
        action: 'train' or 'test', which is to be done with it.
        options: Dotted keys of the options that were put over it.

    Raises:
        ConfigError: There are some; the message names file and keys, and what to write.
    """
    quiet = int(os.environ.get(_names(config)[0], "0")) > 0
    report(config, [*check_shape(config), *check_unread(config, options)], quiet)
    found = [*check_parts(config, action), *check_fields(config, action)]
    loaders = ("test_dataloader",) if action == "test" else ("train_dataloader", "val_dataloader")
    found += check_functions(config, loaders)
    told = {contradiction.key for contradiction in found}
    found += [other for other in check_annotations(config, action) if other.key not in told]
    report(config, [*found, *(check_layers_named(config) if is_segmentation(config) else ())], quiet)
    if is_segmentation(config):
        found = [*check_sizes(config, action), *check_data(config, loaders)]
        report(config, [*found, *check_pipelines(config, loaders), *check_normalisation(config, loaders)], quiet)
    report(config, list(check_bands(config, loaders)), quiet)


def check_test(config: Config) -> None:
    """Find what would let a test fail, or leave something out, when all images are predicted.

    Args:
        config: The config.

    Raises:
        ConfigError: The test would fail or leave something out; the message names file and keys, and what to set.
    """
    report(config, [*check_evaluators(config, "test_evaluator"), *check_scored_loaders(config, ("test",))])


def check_config(config: Config) -> None:
    """Find values of a training's config that contradict each other, from the config alone; print warnings.

    Args:
        config: The config, with its ``launcher``.

    Raises:
        ConfigError: The run would fail or learn the wrong thing; the message names file and keys, and what to set.
    """
    rank, world_size = (int(os.environ.get(n, d)) for n, d in zip(_names(config), ("0", "1"), strict=True))
    found = [*check_loop(config), *check_optimizer(config), *check_custom_keys(config), *check_schedules(config)]
    found += [*check_gaps(config), *check_initializers(config), *check_batch(config, world_size)]
    scores = list(check_evaluators(config, "val_evaluator"))
    found += [*(scores or check_monitored(config)), *check_evaluators(config, "test_evaluator", fatal=False)]
    found += check_scored_loaders(config, ("val",))
    if is_segmentation(config) and isinstance(config.get("model"), dict):
        found += [*check_heads(config), *check_losses(config), *check_loss_names(config)]
    report(config, found, quiet=rank > 0)


def _names(config: Config) -> tuple[str, str]:
    return _PROCESSES.get(config.get("launcher", "none"), ("", ""))


def report(config: Config, found: list[Contradiction], quiet: bool = False) -> None:
    """Print warnings, and raise errors.

    Args:
        config: The config.
        found: What was found in it.
        quiet: Whether another process prints the warnings.

    Raises:
        ConfigError: One of them is fatal; the message lists all that are.
    """
    for contradiction in found:
        if not contradiction.fatal and not quiet:
            text = f"{config.filename}: {contradiction}"
            Console().print(f"Config: {text}", style="yellow", soft_wrap=True, markup=False, highlight=False)
    errors = [str(contradiction) for contradiction in found if contradiction.fatal]
    if errors:
        lines = f" {errors[0]}" if len(errors) == 1 else "".join(f"\n- {error}" for error in errors)
        raise ConfigError(f"{config.filename}:{lines}")
