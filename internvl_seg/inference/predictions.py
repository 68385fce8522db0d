"""The folder that the classes of pictures are written to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..visualization.contact_sheet import write_contact_sheets
from .classifier import Classification
from .run_folder import PREDICTIONS, add_rows, begin_run, cells_of, take_up


class PredictionsFolder:
    """``predictions.csv`` with a row a picture, ``contact_sheet.jpg``, ``run.json``.

    Threads may not share it: one writes to a folder.

    Args:
        folder: Where; made if need be.
        top_k: Classes in a row.
        run: What the results depend on, and what else is good to know; written to ``run.json``.
        identity: The keys of ``run`` that may not differ when a run is resumed.
        resume: Go on with what is there; otherwise results of an earlier run are moved into ``earlier_TIME/`` there.
        tell: Called with a sentence if they are.

    Raises:
        ResultsError: A run is to be resumed that had another model, or whose table cannot be read.
        OSError: The results of an earlier run cannot be moved.
    """

    def __init__(
        self,
        folder: Path,
        top_k: int,
        run: Mapping[str, Any],
        identity: Sequence[str],
        resume: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self._table = folder / PREDICTIONS
        self._columns = ["file"]
        for k in range(1, top_k + 1):
            self._columns += [f"class_{k}", f"name_{k}", f"probability_{k}"]
        rows = take_up(self._table, self._columns, run, identity, resume, tell)
        self._rows = {row[0]: row for row in rows}
        begin_run(self._table, self._columns, self._rows.values(), run)

    def is_done(self, file: Path) -> bool:
        """Whether a file was classified."""
        return self._cells(file) is not None

    def row(self, file: Path) -> dict[str, str] | None:
        """A file's row; None if it is not done."""
        row = self._cells(file)
        return None if row is None else dict(zip(self._columns, row, strict=True))

    def _cells(self, file: Path) -> list[str] | None:
        return next((self._rows[cell] for cell in cells_of(file) if cell in self._rows), None)

    def add(self, file: Path, found: Classification) -> None:
        """Write a file's row."""
        row: list[Any] = [file]
        for label, name, probability in zip(found.labels, found.names, found.probabilities, strict=True):
            row += [label, name, f"{probability:.6f}"]
        (cells,) = add_rows(self._table, [row])
        self._rows[cells[0]] = cells

    def write_contact_sheets(self, files: Sequence[Path]) -> None:
        """Show those pictures that are done with their first class, sixty on a page."""
        rows = [(file, row) for file in files if (row := self.row(file)) is not None and file.is_file()]
        cells = [(f"{row['name_1'].partition(',')[0]} {float(row['probability_1']):.0%}", file) for file, row in rows]
        write_contact_sheets(cells, self.folder)
