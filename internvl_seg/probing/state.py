"""States from which a killed study goes on: whole, of this very study, or refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.reading import read_pickle
from ..common.kinds import short
from ..data.writing import whole_file
from .errors import StateError


def refuse(path: Path, problem: object) -> StateError:
    """The error for a state that cannot be gone on from."""
    return StateError(
        f"{path} is no state that this study can go on from: {problem}. Remove it, or leave --resume out; what it held "
        "is trained again then."
    )


def write_state(path: Path, study: str, content: Mapping[str, Any]) -> None:
    """Write a state.

    Args:
        path: The file.
        study: Hash of all that the state depends on.
        content: Tensors, numbers, and lists and dicts of them.
    """
    with whole_file(path) as file:
        torch.save({"study": study, **content}, file)


def read_state(path: Path, study: str, take: Callable[[dict[str, Any]], None]) -> None:
    """Read a state, if there is one.

    Args:
        path: The file.
        study: As in :func:`write_state`.
        take: Goes on from the content, and raises an error if it does not fit.

    Raises:
        StateError: It is damaged, or of another study.
    """
    if not path.is_file():
        return
    try:
        content = read_pickle(path)
        if not isinstance(content, dict) or content.get("study") != study:
            raise ValueError("it is of another study")
        take(content)
    except Exception as error:  # Whatever a damaged file leads to.
        raise refuse(path, error if str(error) else type(error).__name__) from error


def check_like(found: Any, wanted: Tensor, name: str) -> Tensor:
    """A tensor of a state, if it has the shape and dtype of the one that it replaces.

    Raises:
        ValueError: It has not.
    """
    if not isinstance(found, Tensor) or found.shape != wanted.shape or found.dtype != wanted.dtype:
        got = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else short(found)
        raise ValueError(f"{name} is {got}, expected {tuple(wanted.shape)} {wanted.dtype}")
    return found
