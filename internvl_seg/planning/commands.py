"""Planning from the command line: what ``tools/plan_memory.py`` calls."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..training.config import ConfigError, load_config
from ..training.results import write_json
from .plan import COMMUNICATION, CONTEXT, FRAGMENTATION, GB, MemoryPlan, make_plan


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what MMEngine tells of every weight that is not trained."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def plan_memory(
    config_file: str | os.PathLike[str],
    *,
    device: str = "cuda",
    devices: int = 1,
    device_memory: float,
    options: dict[str, Any] | None = None,
) -> MemoryPlan:
    """Say what a config's training takes on each device, without weights, data or the devices.

    A step of the config's own model, loss and optimizer is run on tensors that have no data, and what it holds is
    counted. Threads may not run it beside each other: a process does one at a time.

    Args:
        config_file: The config.
        device: 'cuda' or 'cpu', of the training.
        devices: How many, each with the batch of ``train_dataloader``.
        device_memory: GB (10^9 bytes) of each.
        options: Dotted keys that replace values of the config.

    Raises:
        ConfigError: The config does not describe a training; the message names file and key.
        ValueError: There is no device, or no memory.
    """
    if devices < 1 or device_memory <= 0:
        raise ValueError(f"devices={devices} and device_memory={device_memory}: both have to be above 0.")
    config = load_config(config_file, options)
    for key in ("model", "train_dataloader", "optim_wrapper"):
        if config.get(key) is None:
            raise ConfigError(f"{config.filename}: {key} is missing.")
    with _quiet():
        return make_plan(config, device, devices, round(device_memory * GB))


def print_plan(plan: MemoryPlan, console: Console) -> None:
    """Print tables and the verdict."""
    height, width = plan.size
    model = Table("weights", "dtype", "millions", "trained", "GB", title=plan.config, title_justify="left")
    for part in plan.parts:
        numbers = f"{part.parameters / 1e6:,.1f}", f"{part.trained / 1e6:,.1f}", _gb(part.nbytes)
        model.add_row(part.name, part.dtype, *numbers)
    console.print(model)
    title = f"GB on each of {plan.devices} x {plan.device}, {plan.images} images of {height} x {width} on each"
    columns = ["weights", "gradients", "optimizer", "gathered", "activations", "peak", "reserve", "needed"]
    table = Table("setting", *columns, "fits", title=title, title_justify="left")
    for setting in plan.settings:
        taken = setting.parameters, setting.gradients, setting.optimizer, setting.gathered, setting.activations
        fits = "yes" if setting.needed <= plan.device_memory else "no"
        name = setting.name() + (" (config)" if setting.configured else "")
        table.add_row(name, *map(_gb, (*taken, setting.peak, setting.reserve, setting.needed)), fits)
    console.print(table)
    console.print(
        "peak is the most at a time, not the sum: gradients come as activations go. The reserve is "
        f"{CONTEXT / GB:g} GB, {COMMUNICATION / GB:g} GB for several devices, and {FRAGMENTATION:.0%} of what comes "
        f"and goes. Prediction of one image of that size: {_gb(plan.inference)} GB.",
        highlight=False,
    )
    console.print(plan.verdict(), highlight=False)


def _gb(count: int) -> str:
    return f"{count / GB:,.2f}"


def save_plan(plan: MemoryPlan, path: Path) -> None:
    """Write a plan as JSON, in bytes."""
    settings = [asdict(setting) | {"needed": setting.needed} for setting in plan.settings]
    write_json(path, asdict(plan) | {"settings": settings, "verdict": plan.verdict()})
