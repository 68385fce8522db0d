"""The bar: on a terminal, at the right place, and gone when the run ends."""

import io
import logging
from types import SimpleNamespace

import pytest
from rich.console import Console

from internvl_seg.training.progress import ProgressBarHook


@pytest.fixture
def runner() -> SimpleNamespace:
    """What the hook reads of a runner."""
    return SimpleNamespace(
        max_iters=10, iter=3, logger=logging.getLogger("progress"), val_dataloader=range(4), test_dataloader=range(2)
    )


def test_training_and_validation_are_shown(runner: SimpleNamespace) -> None:
    screen = io.StringIO()
    hook = ProgressBarHook(Console(file=screen, force_terminal=True, width=100))
    hook.before_train(runner)
    for _ in range(2):
        hook.after_train_iter(runner, 0, outputs={"loss": 0.5})
        runner.iter += 1
    hook.before_val_epoch(runner)
    for i in range(4):
        hook.after_val_iter(runner, i)
    hook._progress.refresh()
    shown = screen.getvalue()
    hook.after_val_epoch(runner)
    hook.after_train(runner)
    assert "3/10" in shown
    assert "5/10" in shown
    assert "loss 0.500" in shown
    assert "4/4" in shown
    assert hook._progress is None


def test_nothing_is_drawn_where_there_is_no_terminal(runner: SimpleNamespace) -> None:
    screen = io.StringIO()
    hook = ProgressBarHook(Console(file=screen))
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0)
    hook.after_test(runner)
    assert screen.getvalue() == ""
