"""The folder that segmented files are written to."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ..data.csv_cells import escape_cell
from ..data.writing import write_encoded
from ..visualization.contact_sheet import write_contact_sheets
from .run_folder import add_rows, as_cell, begin_run, read_rows

_COLUMNS = ("file", "output", "frame", "height", "width")


class ResultsFolder:
    """Labels, overlays and areas of many files, and which files are done.

    ``labels/NAME.png`` (``.tif`` of a raster, ``frames/NAME/000001.png`` of a video), ``overlays/NAME.jpg`` (and
    ``.mp4``), ``areas.csv`` with a row for every picture, ``contact_sheet.jpg``, ``run.json``. A file is done when its
    row is in ``areas.csv``, which is written last. Threads may not share it: one writes to a folder.

    Args:
        folder: Where; made if need be.
        classes: Name of every class.
        palette: RGB, 0 to 255, of every class.
        run: What the results depend on, and what else is good to know; written to ``run.json``.
        identity: The keys of ``run`` that may not differ when a run is resumed.
        resume: Go on with what is there; otherwise the areas begin anew.

    Raises:
        ResultsError: A run is to be resumed that had another model, or whose table cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        run: Mapping[str, Any],
        identity: Sequence[str],
        resume: bool = False,
    ) -> None:
        self.folder, self._classes, self._palette = folder, list(classes), palette
        self._areas = folder / "areas.csv"
        columns = [*_COLUMNS, *self._classes]
        rows = read_rows(self._areas, columns, run, identity) if resume else []
        lost = {output for _, output, frame, *_ in rows if not self._has_labels(output, frame)}
        rows = [row for row in rows if row[1] not in lost]
        self._done = {(row[0], row[1]) for row in rows}
        begin_run(self._areas, columns, rows, run)

    def _has_labels(self, cell: str, frame: str) -> bool:
        """Whether the labels that a row stands for have not been deleted."""
        output = cell[1:] if escape_cell(cell[1:]) == cell else cell
        places = (f"frames/{output}/{frame}.png",) if frame else (f"labels/{output}.png", f"labels/{output}.tif")
        return any((self.folder / place).is_file() for place in places)

    def is_done(self, file: Path, output: str) -> bool:
        """Whether a file was segmented, under the same name."""
        return (as_cell(file), as_cell(output)) in self._done

    def write_labels(self, place: str, labels: NDArray[Any]) -> None:
        """Write class ids as a PNG, in the classes' colours if there are up to 256.

        Args:
            place: Where, below the folder.
            labels: Class ids, (H, W) uint8 or uint16.
        """
        picture = Image.fromarray(labels)
        if labels.dtype == np.uint8:
            picture.putpalette([channel for colour in self._palette for channel in colour])
        write_encoded(self.folder / place, lambda file: picture.save(file, format="PNG"))

    def write_overlay(self, output: str, figure: Figure) -> None:
        """Write a drawn picture."""
        write_encoded(
            self.folder / f"overlays/{output}.jpg",
            lambda file: figure.savefig(file, format="jpeg", pil_kwargs={"quality": 90}),
        )

    def add(self, file: Path, output: str, rows: Iterable[tuple[str, tuple[int, int], Mapping[str, int]]]) -> None:
        """Say that a file is done.

        Args:
            file: The file.
            output: Its name here.
            rows: For every picture of it: the frame's number, or nothing; height and width; pixels by class.
        """
        add_rows(
            self._areas,
            ([file, output, frame, *size, *(areas[name] for name in self._classes)] for frame, size, areas in rows),
        )
        self._done.add((as_cell(file), as_cell(output)))

    def write_contact_sheets(self, outputs: Sequence[str]) -> list[Path]:
        """Show the overlays of those outputs that are done, sixty on a page."""
        done = {output for _, output in self._done}
        overlays = {name: self.folder / f"overlays/{name}.jpg" for name in outputs if as_cell(name) in done}
        found = [(name, path) for name, path in overlays.items() if path.is_file()]
        return write_contact_sheets(found, self.folder)
