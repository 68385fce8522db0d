from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.visualization.contact_sheet import CELL, draw_contact_sheet


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


def test_without_pictures_there_is_no_sheet() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        draw_contact_sheet([])
