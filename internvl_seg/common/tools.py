"""How the tools end: by what the shell expects, and with one line."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# 128 and the number of the signal, as shells have it.
INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141


class Terminated(KeyboardInterrupt):
    """The system asks for the end, as a batch system does before it kills a job."""


def run_tool(main: Callable[[], None], advice: str = "") -> None:
    """Call a tool's main function; Ctrl-C, a request to end or a disk that fails end it with one line.

    Exit codes are 130 after Ctrl-C, 143 after SIGTERM, 141 if nobody reads what is printed (``| head``), and 1 if a
    file cannot be read or written.

    Args:
        main: The function.
        advice: What to do after Ctrl-C, a whole sentence.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # Connections, too, would end the process.
    try:
        main()
        sys.stdout.flush()
    except Terminated:
        _leave("Terminated.", advice, TERMINATED)
    except KeyboardInterrupt:
        _leave("Interrupted.", advice, INTERRUPTED)
    except BrokenPipeError:
        # Nothing more can be printed, not at the interpreter's end, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno is None:
            raise
        where = "" if error.filename is None else f": {os.fspath(error.filename)!r}"
        room = " Make room." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        sys.exit(f"{type(error).__name__}: {error.strerror}{where}.{room}")


@contextmanager
def exit_on(*errors: type[Exception]) -> Iterator[None]:
    """Where one of these errors is raised, the tool ends with 1 and one line: its name and what it says.

    Args:
        *errors: Those that tell a person what to mend; of any other the traceback is what helps.
    """
    try:
        yield
    except errors as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _leave(what: str, advice: str, code: int) -> None:
    print(f"\n{what} {advice}".rstrip(), file=sys.stderr)
    sys.exit(code)
