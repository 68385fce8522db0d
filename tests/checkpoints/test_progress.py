"""A long read says how far it is, a short one nothing."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from internvl_seg.checkpoints import progress
from internvl_seg.checkpoints.progress import ReadingProgress

Clock = Callable[[float], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Lets time pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    return pass_time


def read(wait: Clock, seconds: float, terminal: bool) -> str:
    """What is shown of reading ten parts that take so long together."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, legacy_windows=False)
    with ReadingProgress("Reading model.pth", 10_000_000, console) as shown:
        for _ in range(10):
            wait(seconds / 10)
            shown.advance(1_000_000)
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_over_in_two_seconds_is_not_shown(terminal: bool, wait: Clock) -> None:
    assert read(wait, 1.9, terminal) == ""


def test_a_terminal_has_a_bar(wait: Clock) -> None:
    shown = read(wait, 5, terminal=True)
    assert "Reading model.pth" in shown
    assert "10.0/10.0 MB" in shown


def test_a_log_has_a_line_now_and_then(wait: Clock) -> None:
    assert read(wait, 30, terminal=False).splitlines() == [
        "Reading model.pth: 1.0 MB of 10.0 MB",
        "Reading model.pth: 5.0 MB of 10.0 MB",
        "Reading model.pth: 9.0 MB of 10.0 MB",
    ]
