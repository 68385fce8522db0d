"""Which checkpoint a resumed run takes, and which older one it could take in the place of a damaged one."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from string import Formatter
from typing import Any

from ..checkpoints.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    NonFiniteWeightsError,
    NotACheckpointError,
    TruncatedCheckpointError,
    printable,
)
from ..checkpoints.reading import read_pickle
from ..common.small_files import TooLargeError, read_small
from .checkpoint_fields import NotResumableError, read_meta

# Where the name of the last checkpoint stands, in the work folder.
POINTER = "last_checkpoint"
TEMPLATES = ("iter_{}.pth", "epoch_{}.pth")
# What is wrong with one file, and need not be with others of the run.
_OF_ONE_FILE = (NotResumableError, NonFiniteWeightsError, NotACheckpointError, TruncatedCheckpointError)


def as_pattern(template: str) -> str:
    """A regular expression of the names that a template makes, with a group for the iteration or epoch."""
    parts = Formatter().parse(template)
    return "".join(re.escape(text) + (r"(\d+)" if field is not None else "") for text, field, _, _ in parts)


def is_named_by(template: str, name: str) -> bool:
    """Whether a name is one that a hook gives a checkpoint, a best one, or a published one of these."""
    stem, suffix = map(as_pattern, os.path.splitext(template))
    return re.fullmatch(rf"(?:best_[^/]+_)?{stem}(?:-[0-9a-f]{{8}})?{suffix}", name) is not None


def _find_checkpoints(folder: Path, template: str) -> dict[int, Path]:
    """Checkpoints in a folder by their iteration or epoch."""
    pattern = re.compile(as_pattern(template))
    paths = [path for path in folder.glob("*") if path.is_file()] if pattern.groups else []
    matches = {path: pattern.fullmatch(path.name) for path in paths}
    return {int(match[1]): path for path, match in matches.items() if match}


def _places(folder: Path, hook: Mapping[str, Any]) -> list[Path]:
    """Folders that may hold checkpoints of a run."""
    return [folder, Path(hook["out_dir"], folder.resolve().name)] if hook.get("out_dir") else [folder]


def _templates(hook: Mapping[str, Any]) -> list[str]:
    return [template for template in (hook.get("filename_tmpl"), *TEMPLATES) if template]


def find_last_checkpoint(folder: str | os.PathLike[str], hook: Mapping[str, Any] | None = None) -> Path | None:
    """The checkpoint that a resumed run takes.

    It is the one that the file ``last_checkpoint`` in the work folder names: in that folder, if it has been moved. If
    there is no such file, or it was left empty by a kill, it is the one of the most iterations, or epochs.

    Args:
        folder: The work folder.
        hook: Config of the hook that wrote the checkpoints, if it is there: of its ``filename_tmpl`` and ``out_dir``.

    Returns:
        Its path; None if the run has written none yet.

    Raises:
        CheckpointNotFoundError: The checkpoint that is named is not there.
    """
    folder, hook = Path(folder), hook or {}
    pointer = folder / POINTER
    text = _read(pointer) if pointer.exists() else ""
    if named := PureWindowsPath(text).name:  # Which takes both kinds of slashes.
        for path in (folder / named, Path(text)):
            if _is_file(path):
                return path
        raise CheckpointNotFoundError(
            f"{pointer} names {printable(text)} as the last checkpoint, which is not there. Put it back; or write the "
            f"name of another checkpoint of this run into {pointer}, or remove that file to resume from the newest "
            "there is."
        )
    for place in _places(folder, hook):
        for template in _templates(hook):
            if found := _find_checkpoints(place, template):
                return found[max(found)]
    return None


def _read(pointer: Path) -> str:
    try:
        return read_small(pointer, 1 << 16).decode("utf-8-sig", errors="replace").strip()
    except (OSError, TooLargeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CheckpointNotFoundError(
            f"{pointer} does not say which checkpoint is the last one: {why}. Write the name of a checkpoint of this "
            "run into it, or remove it to resume from the newest there is."
        ) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # A name that no file can have.
        return False


@contextmanager
def naming_an_older_one(last: str | os.PathLike[str], folder: str, hook: Mapping[str, Any] | None) -> Iterator[None]:
    """Add to an error about a damaged checkpoint which other one of the run is whole, and how it is taken.

    Args:
        last: The checkpoint that is read within this.
        folder: The work folder.
        hook: As of :func:`find_last_checkpoint`.

    Raises:
        CheckpointError: As it was raised, with the advice.
    """
    try:
        yield
    except _OF_ONE_FILE as error:
        pointer, older = Path(folder, POINTER), _newest_whole(Path(last), Path(folder), hook or {})
        advice = f"No other whole checkpoint of the run is in {folder}: begin it anew, without --resume."
        if older is not None:
            name = older.name if older.parent == Path(folder) else os.fspath(older.absolute())
            advice = f"{older} is whole: to go on from it, write {name} into {pointer} and resume again."
        raise type(error)(f"{error} {advice}") from error


def _newest_whole(damaged: Path, folder: Path, hook: Mapping[str, Any]) -> Path | None:
    """The newest checkpoint beside a damaged one that a run can go on from."""
    names = [path for place in _places(folder, hook) for path in place.glob("*") if path.is_file()]
    found = [path for path in names if any(is_named_by(template, path.name) for template in _templates(hook))]
    found = [path for path in found if path.resolve() != damaged.resolve()]
    # The iteration or epoch is the last number in a name; of equal ones the best one is no copy.
    for path in sorted(found, key=lambda path: int((re.findall(r"\d+", path.stem) or ["0"])[-1]), reverse=True):
        try:
            checkpoint = read_pickle(path)
            read_meta(checkpoint, path)
        except CheckpointError:
            continue
        if "optimizer" in checkpoint:
            return path
    return None
