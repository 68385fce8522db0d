"""The folder that segmented files are written to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ..data.csv_cells import escape_cell
from ..data.names import is_output_name, output_names, readable
from ..data.scanning import scan_folder
from ..data.writing import write_encoded
from ..visualization.contact_sheet import write_contact_sheets
from .run_folder import AREAS, FOLDERS, ResultsError, add_rows, as_cell, begin_run, cells_of, take_up

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
        resume: Go on with what is there; otherwise results of an earlier run are moved into ``earlier_TIME/`` there.
        tell: Called with a sentence if they are.

    Raises:
        ResultsError: A run is to be resumed that had another model, or whose table cannot be read; or the folder holds
            files that are no run's where this one would write its own.
        OSError: The results of an earlier run cannot be moved.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        run: Mapping[str, Any],
        identity: Sequence[str],
        resume: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self._classes, self._palette = folder, list(classes), palette
        self._areas = folder / AREAS
        columns = [*_COLUMNS, *self._classes]
        rows = take_up(self._areas, columns, run, identity, resume, tell)
        if not self._areas.exists():
            self._check_nothing_is_mixed()
        owners: dict[str, str] = {}
        known = [(row, name) for row in rows if is_output_name(name := _unescaped(row[1]))]
        known = [(row, name) for row, name in known if owners.setdefault(name, row[0]) == row[0]]
        lost = {name for row, name in known if not self._has_labels(name, row[2])}
        # Names by file, of those that are done and of those whose labels have been deleted.
        self._done = {row[0]: name for row, name in known if name not in lost}
        self._named = {row[0]: name for row, name in known} | self._done
        self._taken = set(owners)
        begin_run(self._areas, columns, [row for row, name in known if name not in lost], run)

    def _check_nothing_is_mixed(self) -> None:
        for folder in (self.folder / name for name in FOLDERS):
            if folder.is_dir() and (file := next(scan_folder(folder), None)) is not None:
                raise ResultsError(
                    f"{readable(folder / file)} is there, but no {AREAS} that says which run has written it, and the "
                    f"results would be mixed with it. Take another folder, or move {folder.name}/ away."
                )

    def _has_labels(self, output: str, frame: str) -> bool:
        """Whether the labels that a row stands for have not been deleted."""
        places = (f"frames/{output}/{frame}.png",) if frame else (f"labels/{output}.png", f"labels/{output}.tif")
        return any((self.folder / place).is_file() for place in places)

    def names(self, files: Sequence[Path]) -> list[str]:
        """The name of every file's results: the one that it has already, or a new one beside all that are there.

        Args:
            files: All that are segmented now.
        """
        kept = [next((self._named[c] for c in cells_of(file) if c in self._named), None) for file in files]
        return output_names(files, kept, self._taken)

    def is_done(self, file: Path) -> bool:
        """Whether a file was segmented."""
        return any(cell in self._done for cell in cells_of(file))

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
        self._done[as_cell(file)] = output

    def write_contact_sheets(self, outputs: Sequence[str]) -> list[Path]:
        """Show the overlays of those outputs that are done, sixty on a page."""
        done = set(self._done.values())
        overlays = {name: self.folder / f"overlays/{name}.jpg" for name in outputs if name in done}
        found = [(name, path) for name, path in overlays.items() if path.is_file()]
        return write_contact_sheets(found, self.folder)


def _unescaped(cell: str) -> str:
    """The name that stands in a cell."""
    return cell[1:] if escape_cell(cell[1:]) == cell else cell
