"""Training and evaluating a config: what ``tools/train.py`` and ``tools/test.py`` call."""

import contextlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process

from ..classification.metric import ImageNetAccuracy
from ..classification.table import print_accuracies
from ..common.library_noise import leave_noise_out
from ..data.folder_lock import locked_folder
from ..segmentation.backbone import reading_weights_later
from .captured_step import ReplayedStep, replay
from .checks import (
    RunHook,
    check_config,
    check_form,
    check_launch,
    check_test,
    check_tta_bands,
    check_weights,
    report,
    scale_schedule,
)
from .checks.contradiction import type_name
from .class_count_hook import ClassCountHook
from .class_names_hook import ClassNamesHook
from .config import (
    ConfigError,
    check_data_paths,
    check_output_folders,
    check_segmentation_options,
    is_segmentation,
    keep_variants,
    load_config,
    prepare_submission,
)
from .evaluators import count_with_ours, per_class, write_confusion, write_labels
from .explaining import explaining
from .finite_predictions_hook import FinitePredictionsHook
from .last_checkpoint import POINTER
from .non_finite_hook import NonFiniteStepHook
from .output_names_hook import OutputNamesHook
from .preflight import check_data_of_test, check_data_of_training
from .progress import ProgressBarHook
from .results import sha256_of, versions, write_json
from .resuming import decide_checkpoint
from .runner import ResumableRunner

# Where each launcher says how many processes there are, and which one this is.
_PROCESSES = {"pytorch": "WORLD_SIZE", "slurm": "SLURM_NTASKS", "mpi": "OMPI_COMM_WORLD_SIZE"}
_RANK = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}


def _prepare(config: Config, work_dir: str | None, launcher: str) -> None:
    """Fill in what the command line decides; the folder is named after the config unless one is given."""
    report(config, list(check_launch(config, launcher)))
    config.launcher = launcher
    config.work_dir = work_dir or config.get("work_dir") or os.path.join("work_dirs", Path(config.filename).stem)


def _run(config: Config, action: str) -> tuple[ResumableRunner, Any]:
    """Build the runner of a config and let it 'train' or 'test'."""
    bar = ProgressBarHook()
    try:
        with explaining(config):
            # What is tested is in the checkpoint.
            with reading_weights_later() if action == "test" else contextlib.nullcontext():
                runner = ResumableRunner.from_cfg(config)
            leave_noise_out(runner.logger)
            runner.needs_all_weights = action == "test"
            runner.register_hook(bar)
            runner.register_hook(RunHook())
            runner.register_hook(OutputNamesHook() if is_segmentation(config) else ClassCountHook())
            runner.register_hook(ClassNamesHook())
            runner.register_hook(FinitePredictionsHook())
            if not any(isinstance(hook, NonFiniteStepHook) for hook in runner.hooks):
                runner.register_hook(NonFiniteStepHook())
            return runner, getattr(runner, action)()
    finally:
        bar.close()


def _enable_amp(config: Config) -> None:
    kind = config.optim_wrapper.get("type", "OptimWrapper")
    kind = kind.__name__ if isinstance(kind, type) else kind
    if kind != "OptimWrapper":
        raise ConfigError(
            f"{config.filename}: optim_wrapper.type = {kind!r}; --amp replaces 'OptimWrapper' only. Leave --amp out."
        )
    if torch.cuda.is_available():
        config.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    else:
        config.optim_wrapper.type = "CPUAmpOptimWrapper"


def _is_first(launcher: str) -> bool:
    return os.environ.get(_RANK.get(launcher, ""), "0") == "0"


def _folders_of_hooks(config: Config) -> dict[str, Any]:
    """Where hooks write to, by their keys."""
    hooks = {f"default_hooks.{name}": hook for name, hook in (config.get("default_hooks") or {}).items()}
    hooks |= {f"custom_hooks[{i}]": hook for i, hook in enumerate(config.get("custom_hooks") or [])}
    return {f"{key}.out_dir": hook.get("out_dir") for key, hook in hooks.items() if isinstance(hook, dict)}


def train(
    config_file: str | os.PathLike[str],
    *,
    work_dir: str | None = None,
    resume: bool = False,
    amp: bool = False,
    allow: Collection[str] = (),
    options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> None:
    """Look at the data, then train a model from a config.

    Threads may not run it beside each other: a process does one at a time.

    Args:
        config_file: The config.
        work_dir: Where logs, the resolved config and checkpoints go; ``work_dirs/<name of the config>`` if None.
        resume: Go on from the last checkpoint in ``work_dir``, if there is one, with its seed, whatever ``load_from``
            says; as ``resume = True`` in the config.
        amp: Mixed precision: fp16 with loss scaling on an accelerator, bf16 on a CPU.
        allow: Findings of the preflight that are as they should be, such as 'overlap'.
        options: Dotted keys that replace values of the config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        ConfigError: The config does not describe a run; the message names file and key.
        DatasetError: The images and masks would stop or ruin the training; the message names them.
        FolderInUseError: Another training works in the folder.
        SampleError: An image or a mask cannot be read or prepared; the message names it.
        CheckpointError: Weights could not be read, or the last checkpoint is of another run or could not be written.
    """
    config = load_config(config_file, options)
    _prepare(config, work_dir, launcher)
    check_form(config, "train", options or ())
    scale_schedule(config)
    check_config(config)
    check_data_paths(config, "train_dataloader")
    if config.get("val_dataloader") is not None:
        check_data_paths(config, "val_dataloader")
    if amp:
        _enable_amp(config)
    is_first = _is_first(launcher)
    if is_first:
        with explaining(config):
            given = {"--work-dir": work_dir, "--resume": resume, "--amp": amp}
            check_data_of_training(config, given, options, allow)
    check_output_folders(config, {"work_dir": config.work_dir, **_folders_of_hooks(config)})
    if (pointer := Path(config.work_dir, POINTER)).is_dir():
        raise ConfigError(
            f"{config.filename}: {pointer} is a folder, where a training writes a file with the name of its last "
            "checkpoint. Remove it, or take another --work-dir."
        )
    processes = int(os.environ.get(_PROCESSES.get(launcher, ""), 1))
    with locked_folder(Path(config.work_dir), "tools/train.py", print) if is_first else contextlib.nullcontext():
        decide_checkpoint(config, resume or bool(config.get("resume")), processes)
        report(config, list(check_weights(config)))
        _run(config, "train")


def replay_step(
    config_file: str | os.PathLike[str],
    capture: str | os.PathLike[str],
    *,
    amp: bool = False,
    options: dict[str, Any] | None = None,
) -> ReplayedStep:
    """Compute again a step that a training left out because its numbers were not finite.

    Threads may not run it beside each other: a process does one at a time.

    Args:
        config_file: The config that was trained.
        capture: What the training wrote, ``non_finite_step.pth`` in its work folder.
        amp: Whether it was trained so, as of :func:`train`.
        options: The options that it was trained with.

    Raises:
        ConfigError: The config does not describe a run, or the file is no capture.
        CheckpointError: The capture cannot be read, or is of another model.
    """
    config = load_config(config_file, options)
    if amp:
        _enable_amp(config)
    return replay(config, capture)


def evaluate(
    config_file: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    *,
    work_dir: str | None = None,
    out: str | None = None,
    submit: str | None = None,
    show_dir: str | None = None,
    tta: bool = False,
    only: Sequence[str] | None = None,
    allow: Collection[str] = (),
    options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> dict[str, float]:
    """Evaluate a checkpoint on a config's test set and write ``test_results.json`` into the work folder.

    Beside it stands of a segmentor ``confusion_matrix.csv``, the pixels of each class (row) by predicted class
    (column), unless nothing was scored. Accuracies on ImageNet's variants are printed as a table.

    Threads may not run it beside each other: a process does one at a time.

    Args:
        config_file: The config.
        checkpoint: A checkpoint of the model.
        work_dir: Where logs, the resolved config and the results go; ``work_dirs/<name of the config>`` if None.
        out: Folder for predicted labels, a PNG an image, in the ids of the data set's own masks.
        submit: The same for ADE20K's server (labels 1 to 150), also of a test set without masks, which is not scored.
        show_dir: Folder for pictures of image, ground truth and prediction, one an image.
        tta: Average over the scales and flips of the config's ``tta_pipeline``.
        only: Which of ImageNet's variants among the test sets to evaluate on; all if None.
        allow: Findings of the preflight that are as they should be, such as 'no_label'.
        options: Dotted keys that replace values of the config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        The metrics, in percent.

    Raises:
        ConfigError: The config does not describe a run; the message names file and key.
        CheckpointError: Weights could not be read.
        DatasetError: The images and masks would stop or ruin the test; the message names them.
        LabelError: A mask cannot be compared with its prediction.
        SampleError: An image or a mask cannot be read or prepared; the message names it.
        NonFiniteError: A prediction holds NaN or infinity; the message names the image.
    """
    config = load_config(config_file, options)
    _prepare(config, work_dir, launcher)
    check_form(config, "test", options or ())
    if is_segmentation(config):
        count_with_ours(config)
    else:
        check_segmentation_options(config, out=out, submit=submit, show_dir=show_dir, tta=tta)
    if only is not None:
        keep_variants(config, only)
    if tta:
        for key in ("tta_model", "tta_pipeline"):
            if key not in config:
                raise ConfigError(f"{config.filename}: {key} is missing; --tta needs it.")
        config.test_dataloader.dataset.pipeline = config.tta_pipeline
        report(config, list(check_tta_bands(config)))
        if type_name(config.tta_model) == "SegTTAModel":
            config.tta_model.type = "StreamingTTAModel"  # The same labels without all logits kept.
        config.tta_model.module = config.model
        config.model = config.tta_model
    check_output_folders(
        config, {"work_dir": config.work_dir, "--out": out, "--submit": submit, "--show-dir": show_dir}
    )
    scored = submit is None or prepare_submission(config)
    if folder := out or submit:
        write_labels(config, folder, scored)
    check_test(config)
    check_data_paths(config, "test_dataloader")
    weights = Path(checkpoint).expanduser()
    if not weights.is_file():
        raise ConfigError(f"There is no checkpoint {os.fspath(checkpoint)!r} (looked from {Path.cwd()}).")
    if scored and _is_first(launcher):
        with explaining(config):
            given = {"--work-dir": work_dir, "--out": out, "--submit": submit, "--show-dir": show_dir, "--tta": tta}
            check_data_of_test(config, checkpoint, given, options, allow)
    config.load_from = os.fspath(checkpoint)
    if show_dir is not None:
        config.custom_hooks = [*config.get("custom_hooks", []), {"type": "OverlayHook", "out_dir": show_dir}]
    runner, metrics = _run(config, "test")
    if is_main_process():
        results = {
            "metrics": {name: float(value) for name, value in metrics.items()},
            "confusion_matrix": write_confusion(Path(runner.work_dir), runner.test_evaluator.metrics),
            "per_class": per_class(runner.test_evaluator.metrics),
            "config": os.fspath(config_file),
            "resolved_config": os.path.join(runner.work_dir, Path(config_file).name),
            "checkpoint": os.fspath(checkpoint),
            "checkpoint_sha256": sha256_of(weights),
            "seed": runner.seed,
            "versions": versions(),
        }
        for metric in runner.test_evaluator.metrics:
            if isinstance(metric, ImageNetAccuracy):
                results |= {"images": metric.counts, "published": metric.published}
                print_accuracies(metrics, metric.counts, metric.published)
        write_json(Path(runner.work_dir, "test_results.json"), results)
    return dict(metrics)
