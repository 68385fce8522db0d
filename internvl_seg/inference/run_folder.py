"""A table that is written a row at a time, beside ``run.json``, and that a killed run goes on with."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.writing import whole_file
from ..training.results import write_json


class ResultsError(RuntimeError):
    """A folder holds the results of another run."""


def read_rows(table: Path, run: Mapping[str, Any], identity: Sequence[str]) -> list[dict[str, str]]:
    """The whole rows of a run that is resumed; none if there was none.

    Args:
        table: A CSV file with ``run.json`` beside it.
        run: What is to be run now.
        identity: The keys of ``run`` that may not differ.

    Raises:
        ResultsError: One differs.
    """
    if not table.is_file():
        return []
    before = json.loads((table.parent / "run.json").read_text())
    for key in identity:
        if before.get(key) != run[key]:
            raise ResultsError(
                f"{table.parent} holds results of another run: {key} was {str(before.get(key))[:100]!r} and is "
                f"{str(run[key])[:100]!r}. Take another folder, or leave --resume out to begin anew."
            )
    text = table.read_bytes().decode(errors="replace")
    # Without a last line that was cut short when the run was killed.
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))


def begin_run(table: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]], run: Mapping[str, Any]) -> None:
    """Write a table anew, with the rows that stay, and then what is run: rows never stand beside another run's."""
    with whole_file(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    write_json(table.parent / "run.json", dict(run))
