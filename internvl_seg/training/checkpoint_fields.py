"""What the fields of a checkpoint are from which a training goes on, so that a damaged one is named when it is read."""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.logging import HistoryBuffer
from torch import Tensor

from ..checkpoints.errors import CheckpointError, printable
from ..common.finite import describe_non_finite, is_finite

# Averaged weights beside those that are trained, or the other way round, by the hooks that save them.
AVERAGES = ("ema_state_dict", "trained_state_dict")


class NotResumableError(CheckpointError):
    """A checkpoint cannot be gone on from: it holds weights alone, or a field of it is damaged."""


def damaged(where: str | os.PathLike[str], field: str, found: Any, expected: str) -> NotResumableError:
    """The error about a field that is not what a training writes.

    Args:
        where: The checkpoint.
        field: Dotted.
        found: What it holds.
        expected: What it should.
    """
    return NotResumableError(
        f"{os.fspath(where)} cannot be resumed from: {printable(field)} is {_shown(found)}, expected {expected}. The "
        "file is damaged, or not as a training of this package has written it."
    )


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        what = f"a tensor of shape {tuple(value.shape)}"
        return what if is_finite(value) else f"{what} in which {describe_non_finite(value)}"
    text = "not there" if value is None else repr(value)
    return text if len(text) <= 80 else f"a {type(value).__name__}, {text[:80]}..."


def is_number(value: Any) -> bool:
    """Whether a value is a number that computations take: not NaN, and no whole number of more than 63 bits."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and not math.isnan(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_seed(value: Any) -> bool:
    return value is None or (_is_count(value) and value < 2**32)


def _is_data_meta(value: Any) -> bool:
    classes = value.get("classes") if isinstance(value, dict) else None
    return value is None or (isinstance(value, dict) and isinstance(classes, (list, tuple, type(None))))


_META: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (_is_seed, "a whole number from 0 to 2^32 - 1"),
    "cfg": (lambda value: value is None or isinstance(value, str), "the text of a config"),
    "dataset_meta": (_is_data_meta, "a dict whose classes are a list of names"),
    "samples": (lambda value: value is None or _is_count(value), "a whole number"),
    "images": (lambda value: value is None or isinstance(value, str), "text"),
    "world_size": (lambda value: _is_count(value) and value > 0, "a whole number from 1"),
}


def read_meta(checkpoint: Any, where: str | os.PathLike[str]) -> dict[str, Any]:
    """The ``meta`` of a checkpoint that can be resumed from.

    Raises:
        NotResumableError: It cannot.
    """
    meta = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    done = [meta.get(key) if isinstance(meta, dict) else None for key in ("iter", "epoch")]
    if not (isinstance(meta, dict) and all(map(_is_count, done)) and isinstance(checkpoint.get("state_dict"), dict)):
        raise NotResumableError(
            f"{os.fspath(where)} cannot be resumed from: it does not hold weights (state_dict) and how far the "
            "training was (meta), as checkpoints of a training do. A new run can take its weights: --cfg-options "
            f"load_from={os.fspath(where)}."
        )
    for key, (fits, expected) in _META.items():
        if key in meta and not fits(meta[key]):
            raise damaged(where, f"meta.{key}", meta[key], expected)
    return meta


def check_fields(checkpoint: Mapping[str, Any], where: str | os.PathLike[str]) -> None:
    """Check what else a checkpoint holds; states of optimizers and schedulers are looked at beside these themselves.

    Args:
        checkpoint: With ``state_dict`` and ``meta``, as :func:`read_meta` has found them.
        where: Its file.

    Raises:
        NotResumableError: A field is not what a training writes.
    """
    for key in ("state_dict", *AVERAGES):
        if key in checkpoint:
            _check_dict(checkpoint[key], key, Tensor, "a tensor", where)
    for key in ("message_hub", "hooks", "optimizer"):
        if key in checkpoint:
            _check_dict(checkpoint[key], key, object, "", where)
    if "message_hub" in checkpoint:
        _check_message_hub(checkpoint["message_hub"], where)


def _check_dict(value: Any, field: str, kind: type, expected: str, where: str | os.PathLike[str]) -> None:
    """Check that a value is a dict of values of one kind by texts."""
    if not isinstance(value, dict):
        raise damaged(where, field, value, "a dict")
    for key, item in value.items():
        if not isinstance(key, str):
            raise damaged(where, f"a key of {field}", key, "a text")
        if not isinstance(item, kind) and not key.endswith("_extra_state"):  # That of a module may be anything.
            raise damaged(where, f"{field}.{key}", item, expected)


def _check_message_hub(hub: dict[str, Any], where: str | os.PathLike[str]) -> None:
    for key, kind, expected in (
        ("log_scalars", HistoryBuffer, "a history of numbers"),
        ("runtime_info", object, ""),
        ("resumed_keys", bool, "True or False"),
    ):
        _check_dict(hub.get(key), f"message_hub.{key}", kind, expected, where)
    for key, value in hub["runtime_info"].items():
        field = f"message_hub.runtime_info.{key}"
        if key.startswith("best_score") and not is_number(value):
            raise damaged(where, field, value, "a number")
        if key == "keep_ckpt_ids" and not isinstance(value, list):
            raise damaged(where, field, value, "a list of iterations or epochs")


def check_like(found: Any, own: Any, field: str, where: str | os.PathLike[str]) -> None:
    """Check that a value can stand in the place of another one: a number for a number, a list of as many for a list.

    Args:
        found: Of the checkpoint.
        own: What is there in a run that begins; in the place of None, any single value; of another kind, anything.
        field: Dotted.
        where: The checkpoint.

    Raises:
        NotResumableError: It cannot, or is NaN or infinite where the other is not.
    """
    if isinstance(own, bool):
        if not isinstance(found, bool):
            raise damaged(where, field, found, "True or False")
    elif isinstance(own, (int, float)):
        if not is_number(found) or (math.isinf(found) and not math.isinf(own)):
            raise damaged(where, field, found, "a number")
    elif own is None:
        if not isinstance(found, (bool, int, float, str, type(None))):
            raise damaged(where, field, found, "a single value")
    elif isinstance(own, str):
        if not isinstance(found, str):
            raise damaged(where, field, found, "a text")
    elif isinstance(own, Tensor):
        if not isinstance(found, Tensor) or found.shape != own.shape or not is_finite(found):
            raise damaged(where, field, found, f"a tensor of shape {tuple(own.shape)} without NaN and infinity")
    elif isinstance(own, Counter):  # Such as a schedule's milestones, which may be others.
        if not isinstance(found, Mapping) or not all(map(_is_count, (*found, *found.values()))):
            raise damaged(where, field, found, "counts of whole numbers")
    elif isinstance(own, Mapping):
        if not isinstance(found, Mapping) or set(own) - set(found):
            raise damaged(where, field, found, "a dict with " + ", ".join(map(repr, own)))
        for key, value in own.items():
            check_like(found[key], value, f"{field}.{key}", where)
    elif isinstance(own, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(found) != len(own):
            raise damaged(where, field, found, f"a list of {len(own)}")
        for i, value in enumerate(own):
            check_like(found[i], value, f"{field}[{i}]", where)
