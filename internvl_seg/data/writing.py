"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write to, of the process alone, that becomes ``path`` when the block ends without an error.

    It has the suffix of ``path``, by which some libraries choose a format.

    Args:
        path: The file; its folder is made if need be, and a file that is there is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed in a :func:`whole_file` left in a folder."""
    for path in folder.glob(".*.tmp*"):
        pid = path.name.split(".tmp")[0].rpartition(".")[2]
        if pid.isdecimal() and not _runs(int(pid)):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # Of another user.
        return True
    return True
