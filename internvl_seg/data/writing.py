"""Files that are whole or not there, on any disk that machines share."""

import errno
import fcntl
import functools
import hashlib
import io
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# Of errors that no other file of the run would be spared: the disk or its quota is full, or it cannot be written.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_LONGEST_SUFFIX = 16
# Seconds after which what another machine began to write, and has not touched since, is left over.
_SILENCE = 24 * 3600
# A token's lock and the file that is written; of files alone, also those of earlier versions.
_NAME = re.compile(r"\.([0-9a-f]{20})\.(?:lock$|tmp)|\.(.+\.\d+)\.tmp")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name to write to, of this call alone, that becomes ``path`` when the block ends without an error.

    It has the suffix of ``path``, by which some libraries choose a format. Its bytes are on the disk before it gets its
    name, so that a machine that fails leaves no empty file, and a full disk is an error here. While the block runs, a
    locked file beside it says so to :func:`remove_leftovers`.

    Args:
        path: The file; its folder is made if need be, and a file that is there is replaced.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    with ExitStack() as stack:
        token = stack.enter_context(_held_token(path.parent))
        temporary = path.with_name(f".{token}.tmp{suffix}")
        stack.callback(temporary.unlink, missing_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)


def write_encoded(path: Path, encode: Callable[[BinaryIO], object]) -> None:
    """Write a :func:`whole_file` out of what an encoder gives, which is first made in memory.

    Pillow, and Matplotlib with it, write to files past Python, and take no notice of a disk that is full.

    Args:
        path: The file; its folder is made if need be, and a file that is there is replaced.
        encode: Called with a file to write to.

    Raises:
        OSError: It cannot be written.
    """
    content = io.BytesIO()
    encode(content)
    with whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def remove_leftovers(folder: Path) -> None:
    """Remove what was left in a folder by processes that were killed in a :func:`whole_file`.

    What a process of this machine left is removed at once, whichever container it ran in. What another machine left is
    removed when it has not been touched for a day by the clock of the disk: not all file systems tell one machine what
    another has locked.
    """
    parts: dict[str, list[Path]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if found := _NAME.match(path.name):
            parts.setdefault(found[1] or found[2], []).append(path)
    if parts:
        now = _clock(folder)
        for token, paths in parts.items():
            with suppress(OSError):  # Of another user, or removed by another process meanwhile.
                _remove_if_left(folder, token, paths, now)


def _remove_if_left(folder: Path, token: str, paths: Sequence[Path], now: float) -> None:
    with ExitStack() as stack:  # It stays locked until it is gone, so that nobody writes under this token.
        try:
            lock = stack.enter_context((folder / f".{token}.lock").open("rb+"))
            if not try_lock(lock.fileno()):
                return
            certain = token.startswith(machine())
        except OSError:  # There is none, or none can be had here.
            certain = False
        if certain or all(now - path.stat().st_mtime >= _SILENCE for path in paths):
            for path in sorted(paths, reverse=True):  # The lock last.
                path.unlink(missing_ok=True)


def try_lock(file: int) -> bool:
    """Lock an open file unless someone else holds it; the system lets go of it when the process ends.

    Args:
        file: Its descriptor, open for writing.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


@functools.lru_cache(maxsize=1)
def machine() -> str:
    """Eight digits for this machine since it was started, the same in all of its containers."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # Linux has it.
        started = socket.gethostname()
    return hashlib.sha256(started.encode()).hexdigest()[:8]


@contextmanager
def _held_token(folder: Path) -> Iterator[str]:
    """A new token with the file ``.TOKEN.lock``, locked until the block ends."""
    while True:
        token = f"{machine()}{secrets.token_hex(6)}"
        path = folder / f".{token}.lock"
        with path.open("xb") as lock:
            try:
                # Between the two steps it may be taken for a leftover.
                held = try_lock(lock.fileno()) and os.fstat(lock.fileno()).st_nlink > 0
            except OSError:  # Without locks, only silence makes a leftover.
                held = True
            if held:
                try:
                    yield token
                finally:
                    path.unlink(missing_ok=True)
                return


def _clock(folder: Path) -> float:
    """The time now by the clock that stamps files in a folder."""
    with _held_token(folder) as token:
        return (folder / f".{token}.lock").stat().st_mtime


def _flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # The file system cannot.
            raise
    finally:
        os.close(descriptor)
