"""Whether a checkpoint is of the run that a config describes, so that resuming goes on with it."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..checkpoints.config_text import ConfigTextError, parse_config_text
from ..checkpoints.errors import CheckpointError

# Keys of a config that decide what is trained and how.
_TRAINING = (
    "model",
    "data_preprocessor",
    "train_dataloader",
    "train_cfg",
    "optim_wrapper",
    "param_scheduler",
    "auto_scale_lr",
)
# Fields below them that do not: where things lie, how fast they come, how long the run is, and how it is tested.
_PATHS = {"data_root", "data_prefix", "checkpoint", "pretrained", "backend_args", "file_client_args"}
_LOADING = {"num_workers", "persistent_workers", "pin_memory", "prefetch_factor", "timeout", "batch_size"}
_LENGTH = {"max_iters", "max_epochs", "val_interval", "val_begin", "dynamic_intervals", "fast_forward_on_resume"}
_ELSEWHERE = _PATHS | _LOADING | _LENGTH | {"with_cp", "test_cfg"}
_MOST = 12
CLASSES = "classes of the training set"
# Keys that follow from the number of classes.
_OF_CLASSES = ("num_classes", "out_channels")
_ABSENT = "not there"


class OtherRunError(CheckpointError):
    """A checkpoint is of another run than the one that is to go on with it."""


class Difference(NamedTuple):
    """A setting that differs.

    Attributes:
        key: Dotted.
        old: Its value in the checkpoint.
        new: Its value now.
    """

    key: str
    old: Any
    new: Any


def refuse(checkpoint: str | os.PathLike[str], differences: Iterable[Difference], advice: str = "") -> None:
    """Raise an error that lists differences, if there are any.

    Args:
        checkpoint: The file.
        differences: What was found.
        advice: What to do, in the place of the advice for any difference.

    Raises:
        OtherRunError: There are.
    """
    found = list(differences)
    if not found:
        return
    file = os.fspath(checkpoint)
    lines = [f"{d.key}: {_shown(d.old)} in the checkpoint, {_shown(d.new)} now" for d in found[:_MOST]]
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    anew = f"begin a run of its own in another --work-dir, with the weights: --cfg-options load_from={file}"
    if not advice and any(d.key == CLASSES or d.key.endswith(_OF_CLASSES) for d in found):
        advice = (
            f"A model of other classes has another head. Take the classes as they were; or {anew}, of which what fits "
            "is taken, encoder and all, and the head begins anew."
        )
    raise OtherRunError(
        f"{file} is a checkpoint of another run. One that goes on has the same model, classes, data, optimizer, "
        f"schedule and seed, but here is {'; '.join(lines)}{more}. {advice or f'Set it as it was; or {anew}.'}"
    )


def explain_length(
    checkpoint: str | os.PathLike[str],
    meta: Mapping[str, Any],
    config: Mapping[str, Any],
    differences: Iterable[Difference],
    resolved: str | os.PathLike[str],
) -> str:
    """Advice where a schedule differs because ``auto_scale_schedule`` fits it to a run of another length.

    Args:
        checkpoint: The file.
        meta: Its ``meta``.
        config: The config now.
        differences: Of :func:`compare_configs`.
        resolved: The config that the run has left in its work folder, with the schedule as it was.

    Returns:
        The advice, or nothing if that is not the reason.
    """
    if not config.get("auto_scale_schedule") or not all(d.key.startswith("param_scheduler") for d in differences):
        return ""
    old, new = parse_config_text(meta["cfg"]).get("train_cfg") or {}, config.get("train_cfg") or {}
    key = next((key for key in ("max_iters", "max_epochs") if old.get(key) != new.get(key)), None)
    if key is None:
        return ""
    file, longer = os.fspath(checkpoint), f"train_cfg.{key}={new.get(key)}"
    return (
        f"This is because train_cfg.{key} is {old.get(key)} in the checkpoint and {new.get(key)} now, and "
        "auto_scale_schedule = True scales the schedule to the run: up to here the learning rates of a run of the new "
        f"length would have been others, so it is another training. To end this one, set train_cfg.{key}="
        f"{old.get(key)}. To train longer with this schedule, at whose end the learning rate then stays: tools/train.py"
        f" {os.fspath(resolved)} --resume --cfg-options auto_scale_schedule=False {longer}. To train with one of the "
        f"new length, begin in another --work-dir from these weights: --cfg-options load_from={file} {longer}."
    )


def check_length(meta: Mapping[str, Any], loop: Any, checkpoint: str | os.PathLike[str]) -> None:
    """Check that a run is not to end before what a checkpoint has done.

    Args:
        meta: The checkpoint's ``meta``.
        loop: The training loop.
        checkpoint: The file.

    Raises:
        OtherRunError: It is.
    """
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    unit, end = ("epoch", loop.max_epochs) if by_epoch else ("iter", loop.max_iters)
    if meta[unit] > end:
        name = "epochs" if by_epoch else "iterations"
        raise OtherRunError(
            f"{os.fspath(checkpoint)} has {meta[unit]:,} {name} done, but the run is to end after {end:,} (train_cfg."
            f"max_{unit}s, or what is given for it). Set more than {meta[unit]} to go on, or leave --resume out for "
            "another run."
        )


def compare_configs(meta: Mapping[str, Any], config: Mapping[str, Any], processes: int) -> Iterator[Difference]:
    """Compare the config in a checkpoint with that of a run that is to resume it.

    The length of the run, hooks, logs, validation, paths and how fast data come may differ; a batch may be spread
    over another number of processes.

    Args:
        meta: The checkpoint's ``meta``.
        config: The config now, as :func:`parse_config_text` reads it.
        processes: Number of processes now.
    """
    try:
        old = parse_config_text(meta["cfg"])
    except (KeyError, ConfigTextError):  # Of another trainer: weights and classes are compared all the same.
        print_log("The checkpoint's config cannot be read: settings are not compared with it.", level=logging.WARNING)
        return
    for key in _TRAINING:
        yield from _compare(old.get(key), config.get(key), key)
    batches = [c["train_dataloader"].get("batch_size") for c in (old, config) if _is_dict(c.get("train_dataloader"))]
    if len(batches) == 2 and all(isinstance(batch, int) for batch in batches):
        before = meta.get("world_size", processes)
        if batches[0] * before != batches[1] * processes:
            counts = (f"{batch} x {n} processes" for batch, n in zip(batches, (before, processes), strict=True))
            yield Difference("train_dataloader.batch_size", *counts)
    seed = (config.get("randomness") or {}).get("seed")
    if seed is not None and meta.get("seed") not in (None, seed):
        yield Difference("randomness.seed", meta["seed"], seed)


def compare_classes(meta: Mapping[str, Any], metainfo: Mapping[str, Any] | None) -> Iterator[Difference]:
    """Compare the names of the classes that a checkpoint was trained on with those of a data set."""
    old = (meta.get("dataset_meta") or {}).get("classes")
    new = (metainfo or {}).get("classes")
    if old is not None and new is not None and list(old) != list(new):
        yield Difference(CLASSES, list(old), list(new))


def compare_samples(meta: Mapping[str, Any], dataset: Any) -> Iterator[Difference]:
    """Compare how many samples the training set had with how many it has, on which their order depends, and names."""
    if isinstance(dataset, Sized) and meta.get("samples") not in (None, len(dataset)):
        yield Difference("samples of the training set", meta["samples"], len(dataset))
    elif meta.get("images") not in (None, now := name_images(dataset)) and now is not None:
        yield Difference("images of the training set", meta["images"], now)


def name_images(dataset: Any, most: int = 1000) -> str | None:
    """What tells the images of a data set from others, wherever their folder lies.

    Args:
        dataset: The data set.
        most: How many images to look at, evenly spread.

    Returns:
        The first and the last name, and a hash of those looked at; None if the data set does not tell names.
    """
    while not hasattr(dataset, "get_data_info") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset  # What is around it draws and augments.
    if not isinstance(dataset, Sized) or not len(dataset) or not hasattr(dataset, "get_data_info"):
        return None
    count = min(len(dataset), most)
    infos = (dataset.get_data_info(i * len(dataset) // count) for i in range(count))
    paths = [info.get("img_path") if isinstance(info, Mapping) else None for info in infos]
    if not all(isinstance(path, (str, PurePath)) for path in paths):
        return None
    names = [PurePath(str(path)).name for path in paths]
    return f"{names[0]} to {names[-1]} ({hashlib.sha256(chr(0).join(names).encode()).hexdigest()[:12]})"


def compare_weights(state: Mapping[str, Any], model: nn.Module) -> Iterator[Difference]:
    """Compare weights that are trained, and statistics of norms, with those in a checkpoint: shapes and kinds."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield from _compare_tensor(name, state.get(name), parameter)
    for path, module in model.named_modules():
        if isinstance(module, _NormBase):
            for name, buffer in module.named_buffers(path, recurse=False):
                yield from _compare_tensor(name, state.get(name), buffer)


def _compare_tensor(name: str, old: Tensor | None, new: Tensor) -> Iterator[Difference]:
    if old is None or old.shape != new.shape:
        yield Difference(name, None if old is None else tuple(old.shape), tuple(new.shape))
    elif old.is_floating_point() != new.is_floating_point():
        yield Difference(name, str(old.dtype), str(new.dtype))


def _compare(old: Any, new: Any, key: str) -> Iterator[Difference]:
    """Walk two settings at once."""
    name = key.rpartition(".")[2]
    if name in _ELSEWHERE:
        return
    if _is_dict(old) and _is_dict(new):
        for child in dict.fromkeys([*old, *new]):
            yield from _compare(old.get(child), new.get(child), f"{key}.{child}")
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for i, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _compare(left, right, f"{key}[{i}]")
    elif _value(old, name) != _value(new, name):
        yield Difference(key, old, new)


def _value(value: Any, name: str) -> Any:
    """A value as it is compared: a class by its name alone, a list of images by its file's."""
    if name == "type" and isinstance(value, str):
        return value.rpartition(".")[2]
    if name == "ann_file" and isinstance(value, (str, PurePath)):
        return Path(value).name
    return list(value) if isinstance(value, tuple) else value


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _shown(value: Any) -> str:
    text = _ABSENT if value is None else repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
