"""Whether a checkpoint is of the run that a config describes, so that resuming goes on with it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from torch import nn

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


def refuse(checkpoint: str | os.PathLike[str], differences: Iterable[Difference]) -> None:
    """Raise an error that lists differences, if there are any.

    Raises:
        OtherRunError: There are.
    """
    found = list(differences)
    if not found:
        return
    lines = [f"{d.key}: {_shown(d.old)} in the checkpoint, {_shown(d.new)} now" for d in found[:_MOST]]
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    raise OtherRunError(
        f"{os.fspath(checkpoint)} is a checkpoint of another run. One that goes on has the same model, classes, data, "
        f"optimizer, schedule and seed, but here is {'; '.join(lines)}{more}. Set it as it was; or begin a run of its "
        "own in another --work-dir, which may take the weights by --cfg-options load_from=CHECKPOINT."
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
        yield Difference("classes of the training set", list(old), list(new))


def compare_samples(meta: Mapping[str, Any], dataset: Any) -> Iterator[Difference]:
    """Compare how many samples the training set had with how many it has; their order depends on it."""
    if isinstance(dataset, Sized) and meta.get("samples") not in (None, len(dataset)):
        yield Difference("samples of the training set", meta["samples"], len(dataset))


def compare_weights(state: Mapping[str, Any], model: nn.Module) -> Iterator[Difference]:
    """Compare the shapes of weights that are trained with those in a checkpoint."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            shape = tuple(state[name].shape) if name in state else _ABSENT
            if shape != tuple(parameter.shape):
                yield Difference(name, shape, tuple(parameter.shape))


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
