"""Files, folders and globs, as the files to segment."""

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..data.names import readable
from ..data.scanning import is_junk, scan_folder
from .pictures import PICTURE_SUFFIXES
from .rasters import RASTER_SUFFIXES
from .videos import VIDEO_SUFFIXES

_SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES | RASTER_SUFFIXES


class InputError(RuntimeError):
    """What is to be segmented is not there."""


def find_files(
    patterns: Sequence[str | os.PathLike[str]],
    leave_out: str | os.PathLike[str],
    failed: Callable[[Path, str], None] | None = None,
) -> list[Path]:
    """The files that the command line names.

    Args:
        patterns: Files; folders, of which all pictures and videos are taken, those of folders inside, too; globs, in
            which ``**`` stands for any folders. Hidden files, and what systems leave in folders, are only
            taken when they are named.
        leave_out: Folder whose files are not taken when they are met in another folder: the results.
        failed: Called with every folder that cannot be read, and why; by default that is an error.

    Returns:
        Every file once, in the order of the patterns, and by name within each.

    Raises:
        InputError: A pattern names nothing.
    """
    found: dict[Path, None] = {}
    results = Path(leave_out).resolve()

    def fail(error: OSError) -> None:
        where, why = readable(error.filename), error.strerror
        if failed is None:
            raise InputError(f"{where} cannot be read: {why}.")
        failed(Path(error.filename), f"{where} cannot be read: {why}.")

    for pattern in patterns:
        path = Path(os.path.expanduser(pattern))
        if os.path.isdir(path):
            inside = (path / name for name in scan_folder(path, fail))
            files = sorted(file for file in inside if file.suffix.lower() in _SUFFIXES)
            expected = "holds no picture and no video"
        elif os.path.lexists(path):
            found[path] = None
            continue
        else:
            fixed = _without_wildcards(path)
            names = (Path(name) for name in glob.glob(str(path), recursive=True))
            files = sorted(file for file in names if file.is_file() and not is_junk(os.path.relpath(file, fixed)))
            expected = "names no file"
        files = [file for file in files if results not in file.resolve().parents]
        if not files:
            raise InputError(f"{readable(pattern)!r} {expected} (looked from {Path.cwd()}).")
        found |= dict.fromkeys(files)
    return list(found)


def _without_wildcards(pattern: Path) -> Path:
    """The folder that a glob looks into."""
    return next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))
