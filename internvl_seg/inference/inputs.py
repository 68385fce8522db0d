"""Files, folders and globs, as the files to segment."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..data.names import readable
from ..data.scanning import is_junk, scan_folder
from .pictures import HEIC_ADVICE, HEIC_SUFFIXES, PICTURE_SUFFIXES
from .rasters import RASTER_SUFFIXES
from .videos import VIDEO_SUFFIXES

SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES | RASTER_SUFFIXES


class InputError(RuntimeError):
    """What is to be segmented is not there."""


def find_files(
    patterns: Sequence[str | os.PathLike[str]],
    leave_out: str | os.PathLike[str],
    failed: Callable[[Path, str], None] | None = None,
    passed_over: Callable[[Path], None] = lambda _: None,
) -> list[Path]:
    """The files that the command line names.

    Args:
        patterns: Files; folders, of which all pictures and videos are taken, by their :data:`SUFFIXES`, those of
            folders inside, too; globs, in which ``**`` stands for any folders. Hidden files, and what systems leave in
            folders, are only taken when they are named.
        leave_out: Folder whose files are not taken when they are met in another folder: the results.
        failed: Called with every folder that cannot be read, and why; by default that is an error.
        passed_over: Called with every file in a folder that has another suffix, and is not named otherwise.

    Returns:
        Every file once, in the order of the patterns, and by name within each.

    Raises:
        InputError: A pattern names nothing.
    """
    found: dict[str, Path] = {}
    others: dict[str, Path] = {}
    results = Path(leave_out).resolve()

    def fail(error: OSError) -> None:
        where, why = readable(error.filename), error.strerror
        if failed is None:
            raise InputError(f"{where} cannot be read: {why}.")
        failed(Path(error.filename), f"{where} cannot be read: {why}.")

    for pattern in patterns:
        path = Path(os.path.expanduser(pattern))
        if os.path.isdir(path):
            inside = sorted(path / name for name in scan_folder(path, fail))
            inside = [file for file in inside if results not in file.resolve().parents]
            files = [file for file in inside if file.suffix.lower() in SUFFIXES]
            rest = [file for file in inside if file.suffix.lower() not in SUFFIXES]
            others |= {os.path.abspath(file): file for file in rest}
            expected = "holds no picture and no video"
            also = f" Passed over: {passed_over_in_words(rest)}." if rest else ""
        elif os.path.lexists(path):
            found.setdefault(os.path.abspath(path), path)
            continue
        else:
            fixed = _without_wildcards(path)
            names = (Path(name) for name in glob.glob(str(path), recursive=True))
            files = sorted(file for file in names if file.is_file() and not is_junk(os.path.relpath(file, fixed)))
            files = [file for file in files if results not in file.resolve().parents]
            expected, also = "names no file", ""
        if not files:
            raise InputError(f"{readable(pattern)!r} {expected} (looked from {Path.cwd()}).{also}")
        for file in files:
            found.setdefault(os.path.abspath(file), file)
    for place, file in others.items():
        if place not in found:
            passed_over(file)
    return list(found.values())


def passed_over_in_words(files: Sequence[Path]) -> str:
    """How many files there are of each suffix that is none of :data:`SUFFIXES`, and what to do about HEIC pictures."""
    counts = Counter(file.suffix.lower() for file in files)
    kinds = sorted(counts.items(), key=lambda kind: (-kind[1], kind[0]))
    said = ", ".join(f"{readable(suffix) or 'without a suffix'} {number}" for suffix, number in kinds)
    one = len(files) == 1
    text = f"{len(files)} {'file that is no picture or video' if one else 'files that are no pictures or videos'} here"
    return f"{text} ({said})" + (f". {HEIC_ADVICE}" if HEIC_SUFFIXES & counts.keys() else "")


def _without_wildcards(pattern: Path) -> Path:
    """The folder that a glob looks into."""
    return next(folder for folder in pattern.parents if not glob.has_magic(str(folder)))
