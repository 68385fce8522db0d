"""Running a config: what ``tools/train.py`` and ``tools/test.py`` call."""

import os
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from ..checkpoints.reading import read_pickle
from .config import ConfigError, check_data_paths, explaining, load_config
from .progress import ProgressBarHook
from .results import versions, write_json
from .sync_bn import synchronise_batch_norm


@CheckpointLoader.register_scheme(prefixes="", force=True)
def read_checkpoint(filename: str, map_location: Any = None) -> Any:
    """Read a local checkpoint for MMEngine without running code in it, where MMEngine falls back to doing so.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: A subclass says what is wrong with it.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint {filename!r}.")
    return read_pickle(path, map_location or "cpu")


class SegmentationRunner(Runner):
    """MMEngine's runner, with every BatchNorm synchronised as soon as there are several processes, on CPUs too."""

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set up processes; MMEngine's own way to start several insists on an accelerator."""
        if self.distributed and get_device() == "cpu" and not dist.is_initialized():
            dist.init_process_group("gloo")
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Put the model on its device and, in distributed training, into its wrapper."""
        if self.distributed:
            model = synchronise_batch_norm(model, get_device())
        if self.distributed and get_device() == "cpu" and model_wrapper_cfg is None:
            find_unused = self.cfg.get("find_unused_parameters", False)
            wrapped = MMDistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=find_unused)
        else:
            wrapped = super().wrap_model(model_wrapper_cfg, model)
        return cast(nn.Module, wrapped)


def _prepare(config: Config, work_dir: str | None, launcher: str) -> None:
    """Fill in what the command line decides; the folder is named after the config unless one is given."""
    config.launcher = launcher
    config.work_dir = work_dir or config.get("work_dir") or os.path.join("work_dirs", Path(config.filename).stem)


def _run(config: Config, action: str) -> tuple[SegmentationRunner, Any]:
    """Build the runner of a config and let it 'train' or 'test'."""
    bar = ProgressBarHook()
    try:
        with explaining(config):
            runner = SegmentationRunner.from_cfg(config)
            runner.register_hook(bar)
            return runner, getattr(runner, action)()
    finally:
        bar.close()


def _enable_amp(config: Config) -> None:
    kind = config.optim_wrapper.get("type", "OptimWrapper")
    if kind != "OptimWrapper":
        raise ConfigError(
            f"{config.filename}: optim_wrapper.type = {kind!r}; --amp replaces 'OptimWrapper' only. Leave --amp out."
        )
    if torch.cuda.is_available():
        config.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    else:
        config.optim_wrapper.type = "CPUAmpOptimWrapper"


def train(
    config_file: str | os.PathLike[str],
    *,
    work_dir: str | None = None,
    resume: bool = False,
    amp: bool = False,
    options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> None:
    """Train a model from a config.

    Args:
        config_file: The config.
        work_dir: Where logs, the resolved config and checkpoints go; ``work_dirs/<name of the config>`` if None.
        resume: Go on from the last checkpoint in ``work_dir``, if there is one.
        amp: Mixed precision: fp16 with loss scaling on an accelerator, bf16 on a CPU.
        options: Dotted keys that replace values of the config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        ConfigError: The config does not describe a run; the message names file and key.
        CheckpointError: Weights could not be read.
    """
    config = load_config(config_file, options)
    _prepare(config, work_dir, launcher)
    check_data_paths(config, "train_dataloader")
    if config.get("val_dataloader") is not None:
        check_data_paths(config, "val_dataloader")
    if amp:
        _enable_amp(config)
    config.resume = resume
    _run(config, "train")


def evaluate(
    config_file: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    *,
    work_dir: str | None = None,
    out: str | None = None,
    show_dir: str | None = None,
    tta: bool = False,
    options: dict[str, Any] | None = None,
    launcher: str = "none",
) -> dict[str, float]:
    """Evaluate a checkpoint on a config's test set and write ``test_results.json`` into the work folder.

    Args:
        config_file: The config.
        checkpoint: A checkpoint of the model.
        work_dir: Where logs, the resolved config and the results go; ``work_dirs/<name of the config>`` if None.
        out: Folder for predicted labels, a PNG an image.
        show_dir: Folder for pictures of image, ground truth and prediction, one an image.
        tta: Average over the scales and flips of the config's ``tta_pipeline``.
        options: Dotted keys that replace values of the config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        The metrics, in percent.

    Raises:
        ConfigError: The config does not describe a run; the message names file and key.
        CheckpointError: Weights could not be read.
    """
    config = load_config(config_file, options)
    _prepare(config, work_dir, launcher)
    check_data_paths(config, "test_dataloader")
    if not Path(checkpoint).expanduser().is_file():
        raise ConfigError(f"There is no checkpoint {os.fspath(checkpoint)!r} (looked from {Path.cwd()}).")
    config.load_from = os.fspath(checkpoint)
    if out is not None:
        config.test_evaluator.update(output_dir=out)
    if show_dir is not None:
        config.custom_hooks = [*config.get("custom_hooks", []), {"type": "OverlayHook", "out_dir": show_dir}]
    if tta:
        for key in ("tta_model", "tta_pipeline"):
            if key not in config:
                raise ConfigError(f"{config.filename}: {key} is missing; --tta needs it.")
        config.test_dataloader.dataset.pipeline = config.tta_pipeline
        config.tta_model.module = config.model
        config.model = config.tta_model
    runner, metrics = _run(config, "test")
    if is_main_process():
        results = {
            "metrics": {name: float(value) for name, value in metrics.items()},
            "config": os.fspath(config_file),
            "checkpoint": os.fspath(checkpoint),
            "seed": runner.seed,
            "versions": versions(),
        }
        write_json(Path(runner.work_dir, "test_results.json"), results)
    return dict(metrics)
