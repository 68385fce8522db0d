"""Files in a folder at any depth, without what systems and archivers leave among them."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

# Of macOS, Windows, Synology's and QNAP's disks; names that begin with a dot are left out everywhere.
_JUNK = frozenset(
    {
        "__macosx",
        "icon\r",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "lost+found",
    }
)


def is_junk(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one that systems and archivers leave in folders, such as ``._a.jpg`` or ``@eaDir/a.jpg``.

    Hidden files, and files in hidden folders, are among them.

    Args:
        path: The file, relative to the folder that was asked for: what that one is called says nothing.
    """
    parts = PurePath(path).parts
    return any((part.startswith(".") and part != "..") or part.lower() in _JUNK for part in parts)


def scan_folder(folder: Path, failed: Callable[[OSError], None] | None = None) -> Iterator[str]:
    """Every regular file in a folder and in those inside, by name, without junk.

    Links are followed, unless to a folder that they are in. One to a file that is not there is an error, as in a data
    set whose large files were not fetched.

    Args:
        folder: The folder.
        failed: Called with the error of every file or folder inside that cannot be looked at; by default it is raised.

    Yields:
        POSIX paths below the folder, of a folder's files before those of folders inside.
    """
    failed = failed or _raise
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(os.fspath(folder), "", frozenset())]
    while waiting:
        at, start, above = waiting.pop()
        inside = []
        try:
            status = os.stat(at)
            if (here := (status.st_dev, status.st_ino)) in above:
                continue
            with os.scandir(at) as found:
                entries = sorted((entry for entry in found if not is_junk(entry.name)), key=lambda entry: entry.name)
        except OSError as error:
            failed(error)
            continue
        for entry in entries:
            try:
                # Entries know their kind: a million files are not asked for it one by one.
                if entry.is_dir():
                    inside.append((entry.path, f"{start}{entry.name}/", above | {here}))
                elif entry.is_file():
                    yield start + entry.name
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    failed(FileNotFoundError(errno.ENOENT, "A link to a file that is not there", entry.path))
            except OSError as error:
                failed(error)
        waiting += reversed(inside)


def _raise(error: OSError) -> None:
    raise error
