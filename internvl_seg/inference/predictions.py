"""The folder that the classes of pictures are written to."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.writing import whole_file
from ..visualization.contact_sheet import draw_contact_sheet
from .classifier import Classification
from .run_folder import begin_run, read_rows

_PER_SHEET = 60


class PredictionsFolder:
    """``predictions.csv`` with a row a picture, ``contact_sheet.jpg``, ``run.json``.

    Args:
        folder: Where; made if need be.
        top_k: Classes in a row.
        run: What the results depend on, and what else is good to know; written to ``run.json``.
        identity: The keys of ``run`` that may not differ when a run is resumed.
        resume: Go on with what is there; otherwise begin anew.

    Raises:
        ResultsError: A run is to be resumed that had another model.
    """

    def __init__(
        self, folder: Path, top_k: int, run: Mapping[str, Any], identity: Sequence[str], resume: bool = False
    ) -> None:
        self.folder = folder
        self._table = folder / "predictions.csv"
        self._columns = ["file"]
        for k in range(1, top_k + 1):
            self._columns += [f"class_{k}", f"name_{k}", f"probability_{k}"]
        self._rows = {row["file"]: row for row in (read_rows(self._table, run, identity) if resume else [])}
        begin_run(self._table, self._columns, self._rows.values(), run)

    def is_done(self, file: Path) -> bool:
        """Whether a file was classified."""
        return os.fspath(file) in self._rows

    def row(self, file: Path) -> dict[str, str] | None:
        """A file's row; None if it is not done."""
        return self._rows.get(os.fspath(file))

    def add(self, file: Path, found: Classification) -> None:
        """Write a file's row."""
        row = {"file": os.fspath(file)}
        for k, (label, name, probability) in enumerate(
            zip(found.labels, found.names, found.probabilities, strict=True), start=1
        ):
            row |= {f"class_{k}": str(label), f"name_{k}": name, f"probability_{k}": f"{probability:.6f}"}
        with self._table.open("a", newline="", encoding="utf-8") as table:
            csv.DictWriter(table, self._columns).writerow(row)
        self._rows[row["file"]] = row

    def write_contact_sheets(self, files: Sequence[Path]) -> None:
        """Show those pictures that are done with their first class, sixty on a page."""
        rows = [self._rows[os.fspath(file)] for file in files if self.is_done(file) and file.is_file()]
        for number, start in enumerate(range(0, len(rows), _PER_SHEET), start=1):
            cells = [
                (f"{row['name_1'].partition(',')[0]} {float(row['probability_1']):.0%}", Path(row["file"]))
                for row in rows[start : start + _PER_SHEET]
            ]
            path = self.folder / ("contact_sheet.jpg" if number == 1 else f"contact_sheet_{number}.jpg")
            with whole_file(path) as temporary:
                draw_contact_sheet(cells).save(temporary, format="JPEG", quality=90)
