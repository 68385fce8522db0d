"""How the tools end."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvl_seg.common.tools import exit_on, run_tool

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "Interrupted. Go on with --resume."),
        (signal.SIGTERM, 143, "Terminated. Go on with --resume."),
    ],
)
def test_a_signal_ends_with_one_line(number: int, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    def main() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            done.append("tidied up")

    with pytest.raises(SystemExit) as end:
        run_tool(main, "Go on with --resume.")
    assert (end.value.code, done) == (code, ["tidied up"])
    assert capsys.readouterr().err.split("\n") == ["", line, ""]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left", "/x/a.pth"), "OSError: No space left: '/x/a.pth'. Make room."),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "PermissionError: Permission denied: '/x'."),
    ],
)
def test_a_disk_that_fails_is_one_line(error: OSError, line: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run_tool(main)
    assert end.value.code == line


def test_other_errors_and_codes_stay() -> None:
    with pytest.raises(SystemExit) as end:
        run_tool(lambda: sys.exit(3))
    assert end.value.code == 3
    with pytest.raises(ZeroDivisionError):
        run_tool(lambda: print(1 / 0))


def test_an_error_that_was_expected_is_one_line() -> None:
    with pytest.raises(SystemExit) as end, exit_on(LookupError, NotADirectoryError):
        raise IndexError("no third file")
    assert end.value.code == "IndexError: no third file"
    with pytest.raises(ZeroDivisionError), exit_on(LookupError):
        print(1 / 0)


def test_nobody_has_to_read_to_the_end() -> None:
    code = "from internvl_seg.common.tools import run_tool\nrun_tool(lambda: [print('x' * 1000) for _ in range(1000)])"
    tool = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert tool.stdout is not None
    assert tool.stderr is not None
    while not tool.stdout.readline().startswith(b"xxx"):  # Libraries print while they are imported.
        pass
    tool.stdout.close()
    said = tool.stderr.read()
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said
    assert tool.wait() == 141


def test_every_tool_ends_so_from_its_first_import_on() -> None:
    for path in sorted((ROOT / "tools").glob("*.py")):
        text = path.read_text()
        assert "run_tool(main" in text, path
        assert text.index("signal.signal(signal.SIGINT") < text.index("from internvl_seg"), path
    command = [sys.executable, "-X", "importtime", "tools/plot_curves.py"]
    tool = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert tool.stderr is not None
    while "numpy" not in tool.stderr.readline():  # In the midst of its imports.
        pass
    tool.send_signal(signal.SIGINT)
    rest = tool.stderr.read()
    assert tool.wait() == 130
    assert "Traceback" not in rest
    assert rest.endswith("\nInterrupted.\n")
