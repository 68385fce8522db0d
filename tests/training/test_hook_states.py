"""What hooks go on with."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.hooks import EarlyStoppingHook

from internvl_seg.training.hook_states import load_hook_states


@pytest.mark.parametrize(("patience", "stays"), [(2, True), (3, True), (4, False)])
@pytest.mark.parametrize("told", [{"patience": 3}, {}])
def test_a_run_that_was_stopped_goes_on_with_more_patience(patience: int, stays: bool, told: dict[str, int]) -> None:
    hook, loop = EarlyStoppingHook(monitor="mIoU", patience=patience), SimpleNamespace(stop_training=False)
    runner: Any = SimpleNamespace(hooks=[hook], train_loop=loop, iter=4, logger=logging.getLogger("test"))
    state = {"wait_count": 3, "best_score": 13.0, "stopped": True, **told}
    assert load_hook_states(runner, {"EarlyStoppingHook": state}, "iter_4.pth") == []
    assert (hook.wait_count, hook.best_score) == (3, 13.0)
    assert loop.stop_training is (stays or not told)  # Of old checkpoints it is not known.
