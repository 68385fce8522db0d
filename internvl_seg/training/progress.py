"""A progress bar for training, validation and test."""

import logging
import sys
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ProgressBarHook(Hook):
    """Shows a bar on a terminal; log lines scroll above it. Elsewhere the log alone tells how far the run is.

    Args:
        console: Where to draw; the standard output if None.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._progress: Progress | None = None
        self._loop: TaskID | None = None
        self._redirected: list[logging.StreamHandler[Any]] = []

    def _start(self, runner: Any) -> None:
        if self._progress is not None or not self._console.is_terminal or not is_main_process():
            return
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[note]}"), console=self._console)
        self._progress.start()
        # The log's handler holds the terminal itself; through the bar's console its lines do not tear the bar.
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.__stdout__, sys.__stderr__):
                handler.setStream(sys.stdout)
                self._redirected.append(handler)

    def close(self) -> None:
        """Give the terminal back; the bar is gone."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        for handler in self._redirected:
            handler.setStream(sys.__stdout__)
        self._redirected.clear()

    def _begin_loop(self, runner: Any, name: str, total: int) -> None:
        self._start(runner)
        if self._progress is not None:
            self._loop = self._progress.add_task(name, total=total, note="")

    def _end_loop(self) -> None:
        if self._progress is not None and self._loop is not None:
            self._progress.remove_task(self._loop)
            self._loop = None

    def _advance_loop(self) -> None:
        if self._progress is not None and self._loop is not None:
            self._progress.advance(self._loop)

    def before_train(self, runner: Any) -> None:
        """Begin the bar of the whole run, at the iteration that it resumes from."""
        self._start(runner)
        if self._progress is not None:
            self._train = self._progress.add_task("train", total=runner.max_iters, completed=runner.iter, note="")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Advance by an iteration."""
        if self._progress is not None:
            note = f"loss {float(outputs['loss']):.3f}" if outputs and "loss" in outputs else ""
            self._progress.update(self._train, completed=runner.iter + 1, note=note)

    def after_train(self, runner: Any) -> None:
        """Take the bar away."""
        self.close()

    def before_val_epoch(self, runner: Any) -> None:
        """Begin a bar of validation images."""
        self._begin_loop(runner, "val", len(runner.val_dataloader))

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advance by a batch."""
        self._advance_loop()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Take the bar of validation away."""
        self._end_loop()

    def before_test_epoch(self, runner: Any) -> None:
        """Begin a bar of test images."""
        self._begin_loop(runner, "test", len(runner.test_dataloader))

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advance by a batch."""
        self._advance_loop()

    def after_test(self, runner: Any) -> None:
        """Take the bar away."""
        self.close()
