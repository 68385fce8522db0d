"""How far a long read is."""

import time
from types import TracebackType

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

# Seconds of silence: what is over sooner needs no bar, and a log file no more than a line now and then.
_PATIENCE = 2.0
_BETWEEN_LINES = 10.0


class ReadingProgress:
    """Shows a bar on a terminal, or lines elsewhere, of a read that takes longer than two seconds.

    Args:
        what: What is done, such as 'Reading model.pth'.
        total: Bytes of all of it.
        console: Where to show it; the standard error if None.
    """

    def __init__(self, what: str, total: int, console: Console | None = None) -> None:
        self._what, self._total = what, total
        self._console = console or Console(stderr=True)
        self._done = 0
        self._bar: Progress | None = None

    def __enter__(self) -> "ReadingProgress":
        self._start = time.monotonic()
        self._next_line = self._start + _PATIENCE
        return self

    def advance(self, count: int) -> None:
        """Tell that so many bytes more were read."""
        self._done += count
        now = time.monotonic()
        if now - self._start < _PATIENCE:
            return
        if not self._console.is_terminal:
            if now >= self._next_line:
                self._next_line = now + _BETWEEN_LINES
                self._say()
            return
        if self._bar is None:
            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._bar = Progress(self._what, *columns, console=self._console, transient=True)
            self._bar.add_task("", total=self._total, completed=self._done)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._done)

    def _say(self) -> None:
        of_all = f"{decimal(self._done)} of {decimal(self._total)}"
        self._console.print(f"{self._what}: {of_all}", highlight=False, markup=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
