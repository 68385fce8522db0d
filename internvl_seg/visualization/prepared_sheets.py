"""Contact sheets of a data set that was made of an export: pictures tinted by class."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.exports.export import ClassLabel, SourceError
from ..data.exports.pictures import Picture
from ..data.exports.preparation import Written
from .contact_sheet import CELL, write_contact_sheets
from .overlay import IGNORED, draw_overlay
from .sheet_legend import Entry

_PER_SPLIT = 20


def write_prepared_sheets(out: Path, written: Sequence[Written], classes: Sequence[ClassLabel]) -> list[Path]:
    """Write pages of pictures of each split, spread evenly, tinted by class.

    Args:
        out: Folder of the data set, and where the pages go.
        written: Pictures and tiles.
        classes: In the order of their ids, with colours.

    Returns:
        The pages.

    Raises:
        OSError: One cannot be written.
    """
    palette = [label.colour or (0, 0, 0) for label in classes]
    chosen = []
    for split in ("train", "val", "test"):
        there = [one for one in written if one.split == split and one.empty is None]
        step = max(len(there) // _PER_SPLIT, 1)
        chosen += there[::step][:_PER_SPLIT]
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for number, one in enumerate(chosen):
            path = Path(folder, f"{number}.png")
            with suppress(SourceError):  # The place stays grey.
                Image.fromarray(_tinted(out, one, palette)).save(path)
            pictures.append((f"{one.split}/{one.name}", path))
        return write_contact_sheets(pictures, out, _legend(written, classes))


def _legend(written: Sequence[Written], classes: Sequence[ClassLabel]) -> list[Entry]:
    """The classes by their ids, and what is not tinted if there is such."""
    found = [
        Entry(f"{i}: {label.name}", label.colour or (0, 0, 0), f"{i}: line {i + 1} of classes.txt")
        for i, label in enumerate(classes)
    ]
    ignored = any(one.ignored for one in written if one.empty is None)
    return [*found, Entry(f"{IGNORED}: ignored, not tinted", None)] if ignored else found


def _tinted(out: Path, one: Written, palette: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    picture, mask = one.files(out)
    scale = min(CELL[0] / one.size[1], CELL[1] / one.size[0], 1)
    size = max(round(one.size[0] * scale), 1), max(round(one.size[1] * scale), 1)
    with Picture(picture, one.name) as opened:
        small = opened.preview(size)
    with Image.open(mask) as labels:
        ids = np.asarray(labels.resize(size[::-1], Image.Resampling.NEAREST))
    return draw_overlay(_as_rgb(small), ids, palette)


def _as_rgb(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The first three bands, or the first as grey, from black to white of 8 bits."""
    bands = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    if bands.dtype != np.uint8:
        values = np.nan_to_num(bands.real.astype(np.float64))
        low, high = np.percentile(values, (1, 99))
        bands = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(bands, 0, -1))
