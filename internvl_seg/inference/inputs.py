"""Files, folders and globs, as the files to segment."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from .rasters import RASTER_SUFFIXES
from .videos import VIDEO_SUFFIXES


class InputError(RuntimeError):
    """What is to be segmented is not there."""


def find_files(patterns: Sequence[str | os.PathLike[str]], leave_out: str | os.PathLike[str]) -> list[Path]:
    """The files that the command line names.

    Args:
        patterns: Files; folders, of which all pictures and videos are taken, those of folders inside, too; globs, in
            which ``**`` stands for any folders.
        leave_out: Folder whose files are not taken when they are met in another folder: the results.

    Returns:
        Every file once, in the order of the patterns, and by name within each.

    Raises:
        InputError: A pattern names nothing.
    """
    found: dict[Path, None] = {}
    results = Path(leave_out).resolve()
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix.lower() in _suffixes() and file.is_file())
            files = sorted(file for file in inside if results not in file.resolve().parents)
            expected = "holds no picture and no video"
        elif path.exists():
            files = [path]
        else:
            files = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
            files = [file for file in files if results not in file.resolve().parents]
            expected = "names no file"
        if not files:
            raise InputError(f"{os.fspath(pattern)!r} {expected} (looked from {Path.cwd()}).")
        found |= dict.fromkeys(files)
    return list(found)


def _suffixes() -> frozenset[str]:
    return frozenset(Image.registered_extensions()) | VIDEO_SUFFIXES | RASTER_SUFFIXES
