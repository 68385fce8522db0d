"""A table that is written a row at a time, beside ``run.json``, and that a killed run goes on with."""

import csv
import errno
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.csv_cells import escape_cell
from ..data.names import readable
from ..data.set_aside import set_aside
from ..data.writing import remove_leftovers, whole_file
from ..training.results import write_json

# Of files of results, and in which tables it stands which are done.
FOLDERS = ("labels", "frames", "overlays")
AREAS, PREDICTIONS = "areas.csv", "predictions.csv"
_SHEET = re.compile(r"contact_sheet(_\d+)?\.jpg")
_NO_TEXT = re.compile("[\ud800-\udfff]")


class ResultsError(RuntimeError):
    """A folder holds the results of another run, or cannot be written to."""


def take_up(
    table: Path,
    columns: Sequence[str],
    run: Mapping[str, Any],
    identity: Sequence[str],
    resume: bool,
    tell: Callable[[str], None],
) -> list[list[str]]:
    """The whole rows of a run that is resumed. Otherwise none, and what an earlier run left in the folder is set aside.

    What runs that were killed had begun to write there is removed.

    Args:
        table: A CSV file with ``run.json`` beside it.
        columns: Its columns.
        run: What is to be run now.
        identity: The keys of ``run`` that may not differ.
        resume: Whether to go on with the run that is there, if there is one.
        tell: Called with a sentence if something is set aside.

    Raises:
        ResultsError: What is there cannot be gone on with, or is mixed with files of which no table tells.
        OSError: Something cannot be moved.
    """
    folder = table.parent
    remove_leftovers(folder)
    for name in FOLDERS:
        for inside, _, _ in os.walk(folder / name):
            remove_leftovers(Path(inside))
    if resume and table.is_file():
        return _read_rows(table, columns, run, identity)
    _set_earlier_aside(folder, tell)
    return []


def _set_earlier_aside(folder: Path, tell: Callable[[str], None]) -> None:
    """Move the results of an earlier run, of whichever model, into a folder beside them, and nothing else."""
    tables = [folder / name for name in ("run.json", PREDICTIONS, AREAS)]
    found = [path for path in sorted(folder.glob("contact_sheet*.jpg")) if _SHEET.fullmatch(path.name)] + tables
    folders = [folder / name for name in FOLDERS if (folder / name).is_dir()]
    if (folder / AREAS).is_file():
        found = folders + found  # The table last: as long as it is there, the folders are known to be a run's.
    found = [path for path in found if path.exists()]
    if found:
        aside = readable(folder / set_aside(found))
        tell(
            f"{readable(folder)} held the results of an earlier run; they are in {aside} now. To go on with that run, "
            "move them back and add --resume."
        )


def _read_rows(table: Path, columns: Sequence[str], run: Mapping[str, Any], identity: Sequence[str]) -> list[list[str]]:
    """The whole rows of a run that is resumed, if it is the same."""
    advice = "Take another folder, or leave --resume out to begin anew."
    record = table.parent / "run.json"
    try:
        before = json.loads(record.read_bytes())
        if not isinstance(before, dict):
            raise ValueError(f"it holds {type(before).__name__} and no object")
    except (OSError, ValueError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise ResultsError(f"{record} does not say which run the results beside it are of: {what}. {advice}") from error
    for key in identity:
        if before.get(key) != run[key]:
            raise ResultsError(
                f"{table.parent} holds results of another run: {key} was {str(before.get(key))[:100]!r} and is "
                f"{str(run[key])[:100]!r}. {advice}"
            )
    text = table.read_bytes().decode(errors="replace")
    # Without a last line that was cut short when the run was killed.
    lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    try:
        header, *rows = lines
    except (csv.Error, ValueError) as error:
        raise ResultsError(f"{table} is damaged: {error}. {advice}") from error
    if header != _cells(columns):
        raise ResultsError(f"{table} is damaged: its columns are not those of this run. {advice}")
    return [row for row in rows if len(row) == len(columns)]


def begin_run(table: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], run: Mapping[str, Any]) -> None:
    """Write a table anew, with the rows that stay, and then what is run: rows never stand beside another run's."""
    with whole_file(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_cells(columns), *rows])
    write_json(table.parent / "run.json", dict(run))


def add_rows(table: Path, rows: Iterable[Sequence[Any]]) -> list[list[str]]:
    """Write rows at the end of a table: all of them, or none.

    Args:
        table: The file.
        rows: Cells; text is written as by :func:`as_cell`.

    Returns:
        The cells as they stand in the table.

    Raises:
        OSError: They cannot be written, as on a full disk.
    """
    text, cells = io.StringIO(newline=""), [_cells(row) for row in rows]
    csv.writer(text).writerows(cells)
    content = text.getvalue().encode()
    # At once: a run that is killed has all rows of a video, or none.
    with table.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(table))
        except OSError:
            file.truncate(size)
            raise
    return cells


def as_cell(text: str | os.PathLike[str]) -> str:
    """A name as it stands in a table: as it is, but for bytes that are no text, and what would be a formula."""
    return escape_cell(_NO_TEXT.sub(lambda found: readable(found[0]), os.fspath(text)))


def cells_of(file: Path) -> list[str]:
    """How a file may stand in a table, first as it is: runs may have been given it in several ways."""
    absolute = os.path.abspath(file)
    return list(dict.fromkeys(as_cell(path) for path in (file, absolute, os.path.relpath(absolute))))


def _cells(row: Sequence[Any]) -> list[str]:
    return [as_cell(cell) if isinstance(cell, (str, os.PathLike)) else str(cell) for cell in row]
