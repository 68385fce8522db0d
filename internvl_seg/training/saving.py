"""Writing a checkpoint: plain data, whole on the disk or not there, and read back before it gets its name."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from ..checkpoints.errors import CheckpointError
from ..checkpoints.reading import read_pickle

# Name of a checkpoint while it is written.
TEMPORARY = ".{}.tmp"
# What a checkpoint holds as it is.
_KEPT = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size, HistoryBuffer)


class CheckpointNotWrittenError(CheckpointError):
    """A checkpoint could not be written; those that were there before still are."""


def plain(value: Any, key: str = "") -> Any:
    """A value as a checkpoint can hold it, so that it is read back without running code.

    Args:
        value: Tensors, which come to the CPU, numbers, texts, paths, NumPy's values, and dicts and lists of these.
        key: Where it stands in the checkpoint, for errors.

    Raises:
        CheckpointNotWrittenError: It holds something else; the message names the key.
    """
    if type(value) in _KEPT:
        return value
    if isinstance(value, Tensor):
        return value.detach().as_subclass(Tensor).cpu()
    if isinstance(value, Mapping):
        items = {plain(k, f"a key of {key}"): plain(v, f"{key}.{k}" if key else str(k)) for k, v in value.items()}
        return Counter(items) if isinstance(value, Counter) else items
    if isinstance(value, (set, frozenset)):
        return {plain(item, f"{key}[...]") for item in value}
    if isinstance(value, (list, tuple, deque)):
        several = [plain(item, f"{key}[{i}]") for i, item in enumerate(value)]
        return tuple(several) if isinstance(value, tuple) else several
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist(), key)
    if isinstance(value, Enum):
        return plain(value.value, key)
    if isinstance(value, PurePath):
        return os.fspath(value)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise CheckpointNotWrittenError(
        f"{key} is a {type(value).__module__}.{type(value).__qualname__}, which a checkpoint cannot hold: only "
        "tensors, numbers, texts, and lists and dicts of them are read back without running code. Leave it out where "
        "it is set (a data set's metainfo, a hook's before_save_checkpoint, the message hub), or make it one of these."
    )


def write_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint straight to the disk and read it back; then it gets its name.

    Args:
        path: The file.
        checkpoint: Of plain values, as :func:`plain` gives them.

    Raises:
        CheckpointNotWrittenError: It could not be written or read back. What stood at ``path`` before still does.
    """
    temporary = path.with_name(TEMPORARY.format(path.name))
    with explaining_failure(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            # Names, shapes and all values but those of tensors, which stay in the file.
            _compare(read_pickle(temporary), checkpoint, "")
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def explaining_failure(path: Path) -> Iterator[Path]:
    """Say which file could not be written within this, and that the older ones are there.

    Raises:
        CheckpointNotWrittenError: It could not be.
    """
    try:
        yield path
    except (OSError, RuntimeError) as error:
        # PyTorch's writer, which has to end its file all the same, says only that it could not.
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        raise CheckpointNotWrittenError(
            f"{path} could not be written: {' '.join(str(cause).split()) or type(cause).__name__}. Nothing of it was "
            "kept, and older checkpoints are as they were. If the disk is full, make room; then go on from the last "
            "checkpoint with --resume."
        ) from error


def _compare(found: Any, written: Any, key: str) -> None:
    """Compare what was read back with what was written."""
    same = type(found) is type(written)
    if isinstance(written, Tensor):
        same &= same and found.shape == written.shape and found.dtype == written.dtype
    elif isinstance(written, dict):
        same &= same and found.keys() == written.keys()
        for name in written if same else ():
            _compare(found[name], written[name], f"{key}.{name}" if key else str(name))
    elif isinstance(written, (list, tuple)):
        same &= same and len(found) == len(written)
        for i, (left, right) in enumerate(zip(found, written, strict=False)):
            _compare(left, right, f"{key}[{i}]")
    elif not isinstance(written, (float, complex, HistoryBuffer)):  # NaN is not equal to itself.
        same &= same and found == written
    if not same:
        raise RuntimeError(f"{key} is not read back as it was written")
