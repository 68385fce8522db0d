"""What ``tools/measure_bands.py`` calls."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..data.band_statistics import BandStatistics, measure_bands
from .checks.check import report
from .checks.contradiction import type_name
from .checks.steps import Step
from .checks.unread import check_unread
from .config import ConfigError, check_data_paths, load_config
from .results import write_json

_LOADER = "train_dataloader"
# Of image labels; the other one is of maps.
_OF_LABELS = "ClsDataPreprocessor"


def measure(
    config_file: str | os.PathLike[str],
    *,
    options: dict[str, Any] | None = None,
    json: Path | None = None,
    console: Console | None = None,
) -> BandStatistics:
    """Measure mean and standard deviation of every band of a config's training set, and print what to write.

    Args:
        config_file: The config.
        options: Dotted keys that replace values of the config.
        json: A file for the numbers; none if None.
        console: Where to print; the standard output if None.

    Raises:
        ConfigError: The config has no training set whose images are read by ``LoadImageFromFile``, or sets what
            reaches nothing.
        ImageError: An image cannot be read.
        StatisticsError: There is nothing to measure.
    """
    console = console or Console()
    config = load_config(config_file, options)
    report(config, [*check_unread(config, options or ())])
    init_default_scope(config.get("default_scope", "mmseg"))
    dataset = (config.get(_LOADER) or {}).get("dataset")
    if not isinstance(dataset, Mapping):
        raise ConfigError(f"{config.filename}: {_LOADER}.dataset is missing; its images are what is measured.")
    check_data_paths(config, _LOADER)
    load = _load_step(config, dataset)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(TextColumn("images"), *columns[1:], console=console, transient=True, disable=not console.is_terminal)
    with bar as progress:
        task = progress.add_task("images", total=None)
        found = measure_bands(dataset, load, lambda done, total: progress.update(task, completed=done, total=total))
    swapped = load.get("bands") is None and load.get("color_type", "color") == "color"
    if swapped and bool(_preprocessor(config).get("bgr_to_rgb") or _preprocessor(config).get("to_rgb")):
        # OpenCV reads BGR, which the preprocessor turns round before it normalises.
        turned = {name: getattr(found, name)[::-1] for name in ("mean", "std", "low", "high")}
        found = replace(found, **turned)
    for line in _lines(found, load, "to_rgb" if type_name(dict(_preprocessor(config))) == _OF_LABELS else "bgr_to_rgb"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if json is not None:
        write_json(json, {**vars(found), "bands": load.get("bands"), "config": str(config.filename)})
    return found


def _preprocessor(config: Config) -> Mapping[str, Any]:
    model: Mapping[str, Any] = config.get("model") or {}
    return model.get("data_preprocessor") or config.get("data_preprocessor") or {}


def _load_step(config: Config, dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step that reads images, of the first of several data sets."""
    while "pipeline" not in dataset and ("dataset" in dataset or dataset.get("datasets")):
        dataset = dataset["dataset"] if "dataset" in dataset else dataset["datasets"][0]
    for step in dataset.get("pipeline") or ():
        if isinstance(step, dict) and type_name(step) == "LoadImageFromFile" and Step("", step).name:
            return step
    raise ConfigError(
        f"{config.filename}: {_LOADER}.dataset.pipeline has no LoadImageFromFile, which says which bands are measured."
    )


def _lines(found: BandStatistics, load: Mapping[str, Any], swap: str) -> list[str]:
    """A table, and what a config is to have; ``swap`` is what its preprocessor calls the turn from BGR to RGB."""
    bands = load.get("bands") or list(range(1, len(found.mean) + 1))
    lines = [f"{found.pixels} pixels of {found.images} images. Band: mean, standard deviation, lowest, highest"]
    for row in zip(bands, found.mean, found.std, found.low, found.high, strict=True):
        lines.append(f"  {row[0]}: {row[1]:.6g}  {row[2]:.6g}  {row[3]:g}  {row[4]:g}")
    mean, std = ([float(f"{value:.6g}") for value in values] for values in (found.mean, found.std))
    order = f", {swap}=False" if load.get("bands") is not None else ""
    wide = f"    backbone=dict(in_chans={len(mean)})," if len(mean) != 3 else None
    preprocessor = f"    data_preprocessor=dict(mean={mean}, std={std}{order}),"
    return [*lines, "Write into the config:", *(line for line in ("model = dict(", wide, preprocessor, ")") if line)]
