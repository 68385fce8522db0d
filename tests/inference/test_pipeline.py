"""A config's transforms as a function."""

import time
from typing import Any

from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from internvl_seg.inference.pipeline import Pipeline

from ..in_threads import in_threads


class Slowly(cache_randomness):  # type: ignore[misc]  # mmcv has no types.
    """mmcv's decorator, between whose two steps other threads have time for theirs."""

    def __copy__(self) -> "Slowly":
        time.sleep(1e-3)
        copied = object.__new__(Slowly)
        copied.__dict__ |= self.__dict__
        return copied


class Coin(BaseTransform):  # type: ignore[misc]
    """Falls on one side; the real ones (``RandomFlip`` of test-time augmentation) ask for theirs in the same way."""

    def __init__(self, side: str) -> None:
        self.side = side

    @Slowly
    def throw(self) -> str:
        return self.side

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return {"sides": (*results.get("sides", ()), self.throw())}


def test_each_transform_is_asked_for_its_own_parameters_in_threads_too() -> None:
    pipelines = [Pipeline([{"type": Coin, "side": side} for side in sides]) for sides in ("ht", "th")]
    found = in_threads(lambda number: pipelines[number % 2]({})["sides"], range(32))
    assert found == [("h", "t"), ("t", "h")] * 16
