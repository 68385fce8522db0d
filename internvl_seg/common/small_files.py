"""Small files that are read whole: only regular ones, and no more of them than such a file has."""

import errno
import os
import stat
from pathlib import Path


class TooLargeError(ValueError):
    """A file is larger than any of its kind; the text says how large."""


def read_small(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a file whole.

    A link may lead to a device, of which there is no end, and a pipe waits for somebody to write: none is read.

    Args:
        path: The file.
        most: Bytes, more than which no such file has.

    Raises:
        OSError: It is not there, no regular file, or cannot be read; ``strerror`` says which.
        TooLargeError: It has more bytes.
    """
    path = Path(path)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        is_folder = stat.S_ISDIR(status.st_mode)
        why = os.strerror(errno.EISDIR) if is_folder else "It is a pipe or a device, not a regular file"
        raise OSError(errno.EISDIR if is_folder else errno.EINVAL, why, os.fspath(path))
    if status.st_size > most:
        raise TooLargeError(f"it has {status.st_size:,} bytes")
    with path.open("rb") as file:  # A file of the system may have more than its size says.
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError(f"it has more than {most:,} bytes")
    return content
