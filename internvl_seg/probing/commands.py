"""Running a study: what ``tools/probe.py`` calls."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..checkpoints.study_encoder import FOLDER, name_of_study
from ..data.folder_lock import locked_folder
from ..data.preflight import Command, check_before_training
from ..data.writing import remove_leftovers
from ..training import ConfigError
from ..training.config import check_data_paths, load_config
from ..training.explaining import explaining
from .encoder_features import EncoderFeatures, Need, Track
from .encoder_study import EncoderStudy
from .errors import DivergedError
from .frozen_encoder import FrozenEncoder
from .planning import plan, repeats
from .preflight import check_study
from .scored import Scored
from .selection import plan_selection
from .settings import ProbeSettings
from .study import Study
from .study_report import write_study_report
from .summary import best_head, with_score
from .task import Task
from .values import whole


def backbones(config: Config, settings: ProbeSettings) -> dict[str, dict[str, Any]]:
    """Configs of a study's encoders by name.

    Raises:
        ConfigError: The config has none.
    """
    base = dict(config.model.get("backbone") or {})
    if not settings.encoders:
        if not base:
            raise ConfigError(f"{config.filename}: model.backbone is missing, and probe.encoders is empty.")
        source = base.get("arch")
        if not isinstance(source, str):
            source = Path((base.get("init_cfg") or {}).get("checkpoint", "random")).stem
        return {source.replace("/", "-"): base}
    return {name: dict(given) if "type" in given else base | dict(given) for name, given in settings.encoders.items()}


def _task(config: Config) -> Task:
    for key in ("model", "train_dataloader", "val_dataloader"):
        if config.get(key) is None:
            raise ConfigError(f"{config.filename}: {key} is missing.")
    for loader in ("train_dataloader", "val_dataloader"):
        check_data_paths(config, loader)
        if config[loader].get("dataset") is None:
            raise ConfigError(f"{config.filename}: {loader}.dataset is missing.")
    seed = (config.get("randomness") or {}).get("seed")
    if seed is not None:
        whole(0)("randomness.seed", seed)
    return Task(config, seed or 0)


def _tracker(progress: Progress, console: Console) -> Track:
    @contextmanager
    def track(name: str, total: int) -> Iterator[Callable[[int], None]]:
        if not total:
            yield lambda _count: None
            return
        start = time.monotonic()
        bar = progress.add_task(name, total=total)
        yield lambda count: progress.advance(bar, count)
        progress.remove_task(bar)
        console.print(f"{name}: {time.monotonic() - start:.1f} s", highlight=False)

    return track


def _print_needs(needs: Mapping[str, Sequence[Need]], settings: ProbeSettings, console: Console) -> None:
    folder = Path(settings.store.folder).expanduser()
    table = Table("encoder", "split", "images", "views", "MB a view", "GB", title=f"Features to keep in {folder}")
    for name, found in needs.items():
        for need in found:
            numbers = (str(need.images), str(need.views), f"{need.sample_bytes / 1e6:.3f}", f"{need.nbytes / 1e9:.2f}")
            table.add_row(name, need.split, *numbers)
    console.print(table)
    total = sum(need.nbytes for found in needs.values() for need in found)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    console.print(f"All: {total / 1e9:.2f} GB as {settings.store.dtype}; the disk has {free / 1e9:.2f} GB free.")


def probe(
    config_file: str | os.PathLike[str],
    *,
    work_dir: str | None = None,
    resume: bool = False,
    stream: bool = False,
    dry_run: bool = False,
    select_on: str | None = None,
    allow: Collection[str] = (),
    options: dict[str, Any] | None = None,
    console: Console | None = None,
) -> Scored | None:
    """Run a study: features once, all heads, scores, files and a report.

    Threads may not run it beside each other: a process does one at a time.

    Args:
        config_file: A config with a ``probe``.
        work_dir: Where results go; ``work_dirs/<name of the config>`` if None.
        resume: Go on from what a killed run left; features are always gone on from.
        stream: Compute features when they are needed and keep none.
        dry_run: Only say which features would be kept and how large they are.
        select_on: 'val' or 'folds', on which images heads are chosen, in the place of the config's ``probe.select.on``.
        allow: Findings of the preflight that are as they should be, such as 'overlap'.
        options: Dotted keys that replace values of the config.
        console: Where to print; the standard output if None.

    Returns:
        All heads with their scores; None of a dry run.

    Raises:
        ConfigError: The config does not describe a study; the message names file and key.
        DatasetError: The images and masks would stop or ruin the study; the message names them.
        FolderInUseError: Another study works in the folder.
        ProbeError: Features cannot be kept or put together, all heads diverged, or what a killed run left is damaged.
        NonFiniteError: There is NaN or infinity in the features; the message names image, block and encoder.
        CheckpointError: Weights could not be read.
    """
    console = console or Console()
    config = load_config(config_file, options)
    if select_on is not None and isinstance(config.get("probe"), dict):
        config.merge_from_dict({"probe": {"select": {"on": select_on}}})
    settings = ProbeSettings.read(config.get("probe"))
    init_default_scope(config.get("default_scope", "mmseg"))
    task = _task(config)
    with explaining(config):
        selection = plan_selection(settings.select, task)
    # Without classes that fit the head, nothing of the labels can be said.
    if not dry_run and task.classes:
        words = ["python", "tools/probe.py", str(config.filename)]
        words += [*(("--work-dir", work_dir) if work_dir else ()), *(("--resume",) if resume else ())]
        words += [*(["--stream"] if stream else ()), *(("--select-on", select_on) if select_on else ())]
        splits = ("train", "val", "test") if selection.on == "val" else ("train", "val")
        command = Command(tuple(words), options or {})
        with explaining(config):
            harm = "The study would fail or its scores mean nothing"
            check_before_training(config, options=options, splits=splits, allow=allow, command=command, harm=harm)
    folder = Path(work_dir or config.get("work_dir") or Path("work_dirs", Path(config.filename).stem))
    with nullcontext() if dry_run else locked_folder(folder, "tools/probe.py", console.print):
        if not resume and not dry_run:
            shutil.rmtree(folder / "state", ignore_errors=True)
        for part in ("", "state", "heads"):
            remove_leftovers(folder / part)
        study = Study(selection)
        return _run(config, settings, task, study, folder, stream=stream, dry_run=dry_run, console=console)


def _run(
    config: Config,
    settings: ProbeSettings,
    task: Task,
    study: Study,
    folder: Path,
    *,
    stream: bool,
    dry_run: bool,
    console: Console,
) -> Scored | None:
    """The study itself, in a folder of its own."""
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with explaining(config), Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        track = _tracker(progress, console)
        chosen = backbones(config, settings)
        planned = {}
        for name, backbone in chosen.items():
            # Of shapes only: what is to be made, and how much of it, before any weight is read.
            with torch.device("meta"):
                shapes = FrozenEncoder(name, backbone, (-1,))
            specs = plan(settings, shapes, task.name)
            planned[name] = specs, EncoderFeatures(task, settings, shapes, specs, stream, track)
        for note in check_study(settings, task, {name: specs for name, (specs, _) in planned.items()}):
            console.print(f"Note: {note}", soft_wrap=True, highlight=False)
        if note := study.selection.note:
            told = f"Note: test_dataloader is not what the chosen head is scored on: {note}."
            console.print(told, soft_wrap=True, highlight=False)
        needed = {name: features.needs() for name, (_, features) in planned.items()}
        if dry_run:
            _print_needs(needed, settings, console)
            return None
        for name, (specs, _) in planned.items():
            blocks = sorted({block for spec in specs for block in spec.blocks})
            encoder = FrozenEncoder(name, chosen[name], blocks, task.seed)
            if encoder.is_random:
                file = f"{name}.safetensors"
                # MMEngine puts the config's folder there: the study may be moved.
                encoder.write(folder / FOLDER / file, name_of_study(file))
            features = EncoderFeatures(task, settings, encoder, specs, stream, track)
            features.prepare(needed[name])
            one = EncoderStudy(task, settings, features, folder, study.selection.fold_of, track)
            study.add(one, one.run(specs, "sweep"))
            if not stream:
                encoder.release()
        again = repeats(study.scored.results, settings)
        for name, one in study.parts.items():
            if own := [spec for spec in again if spec.encoder == name]:
                study.add(one, one.run(own, "repeats"))
        with track("score of the chosen head", 1):
            study.report(task, folder)
        with track("report", 1):
            write_study_report(folder, config, settings, task, study)
    results = study.scored.results
    if not with_score(results):
        raise DivergedError(
            f"All {len(results)} heads diverged: their losses, weights or logits became NaN or infinite, so none has a "
            f"score. Set lower probe.heads[].lr. Report: {folder / 'index.html'}"
        )
    best = best_head(results)
    if failed := len(results) - len(with_score(results)):
        told = f"{failed} of {len(results)} heads diverged and have no score."
        console.print(told, soft_wrap=True, highlight=False)
    count = len(results)
    told = f"{task.metric} {best.score:.2f} %: {best.spec.name}, the best of {count} heads on the validation images"
    console.print(told, soft_wrap=True, highlight=False)
    if (reported := study.reported[""]) is not None:
        told = f"{task.metric} {reported.score:.2f} % on {reported.images}"
        console.print(told, soft_wrap=True, highlight=False)
    console.print(f"Report: {folder / 'index.html'}", soft_wrap=True)
    return study.scored
