from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.visualization.contact_sheet import CELL, draw_contact_sheet
from internvl_seg.visualization.fonts import find_font
from internvl_seg.visualization.sheet_legend import Entry


def test_every_picture_is_there_in_its_cell_with_its_name(tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    for i, colour in enumerate(colours):
        Image.new("RGB", (1000 * (i + 1), 500), colour).save(tmp_path / f"{i}.png")
    named = [("a rather long name that does not fit below its picture " * 3, tmp_path / f"{i}.png") for i in range(3)]
    page = np.asarray(draw_contact_sheet(named, columns=2))
    assert page.shape[1] < 2.2 * CELL[0]
    for i, colour in enumerate(colours):
        rows, columns = np.nonzero((page == colour).all(-1))
        # As large as fits, keeping its shape: 2, 4 and 6 times as wide as high.
        assert columns.max() - columns.min() + 1 == CELL[0]
        assert rows.max() - rows.min() + 1 == round(CELL[0] / (2 * (i + 1)))
        assert (rows.min() > CELL[1]) == (i == 2)
    assert (page[CELL[1] + 8 : CELL[1] + 22] < 100).all(-1).any()  # The names.


def test_a_legend_says_what_colours_mean_in_any_script(tmp_path: Path) -> None:
    Image.new("RGB", CELL, "white").save(tmp_path / "a.png")
    plain = draw_contact_sheet([("a", tmp_path / "a.png")])
    names = ["road", "дорога", "دار", "\U0001f333 \u5efa", "a name that is far too long for a page of one picture " * 9]
    colours = [(40 * i, 200, 10) for i in range(len(names))]
    entries = [Entry(f"{i}: {names[i]}", colour, f"{i}: line") for i, colour in enumerate(colours)]
    page = draw_contact_sheet([("a", tmp_path / "a.png")], legend=entries)
    assert page.width == plain.width
    legend = np.asarray(page)[plain.height :]
    tops = [np.nonzero((legend == colour).all(-1))[0].min() for colour in colours]
    assert tops == sorted(tops)
    assert len(set(tops)) == len(tops)
    for top, colour in zip(tops, colours, strict=True):
        line = legend[top : top + 16]
        assert (line == colour).all(-1).sum() == 14 * 14
        assert (line[:, 30:] < 100).all(-1).any()  # Its name.
    assert (legend[:, -8:] == 255).all()
    wide = draw_contact_sheet([("a", tmp_path / "a.png")] * 5, legend=[Entry(str(i), (i, 0, 0)) for i in range(200)])
    assert wide.height < plain.height + 1000
    # Letters that no font has would be drawn as boxes that are all alike.
    assert find_font("\U000ffffe", 12) is None
    assert find_font("road дорога دار", 12) is not None


def test_without_pictures_there_is_no_sheet() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        draw_contact_sheet([])
