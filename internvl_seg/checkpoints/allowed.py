"""What PyTorch may make of what a checkpoint names, after it was looked at without making anything."""

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy._core.multiarray as np_multiarray

from .notes import NOTES
from .pickle_names import HISTORY


class _Note:
    """Stands for a class of a trainer's settings: an empty dictionary is made in its place."""

    def __new__(cls, *_: Any) -> Any:
        """The dictionary."""
        return OrderedDict()


def _statistic(owner: type, name: str) -> Any:
    """Stands in for ``getattr`` in MMEngine's checkpoints, whose logged scalars look up how they are averaged."""
    if owner.__name__ != "HistoryBuffer" or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError(f"getattr of {owner}")
    return getattr(owner, name)


# Old checkpoints name what NumPy has called otherwise since its second version.
_ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    (bytes, "builtins.bytes"),  # Of empty arrays, without arguments.
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")),
    *((getattr(np_multiarray, name), f"numpy.{core}.multiarray.{name}")
      for name in ("_reconstruct", "scalar") for core in ("core", "_core")),
]  # fmt: skip


def allowed_globals(named: set[str]) -> list[Any]:
    """What a checkpoint may hold besides tensors and plain Python values: logged scalars, notes.

    Args:
        named: All that it names.

    Returns:
        As of ``torch.serialization.safe_globals``.
    """
    allowed = [*_ARRAYS, *((_Note, name) for name in named & NOTES)]
    if HISTORY in named:
        from mmengine.logging import HistoryBuffer  # Takes seconds to import.

        allowed += [HistoryBuffer, (_statistic, "builtins.getattr")]
    return allowed
