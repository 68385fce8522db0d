"""A config's transforms as a function."""

import threading
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import Compose

# Of the whole process: mmcv notes in a decorator, one for all transforms of a class, for which of them it was asked
# last (``cache_randomness``). Of two threads that flip, one may flip as the other's transform says.
_RUNNING = threading.Lock()


class Pipeline:
    """Transforms that a picture goes through. Threads may share it: they take turns, those of other pipelines, too.

    Args:
        transforms: Their configs, which are looked up in MMEngine's default scope.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]]) -> None:
        self._compose = Compose(list(transforms))

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Map what the first transform takes to what the last one gives."""
        with _RUNNING:
            done: dict[str, Any] = self._compose(data)
        return done
