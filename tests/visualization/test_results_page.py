import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from internvl_seg.visualization.results_page import ScoreTable, write_results_page


@pytest.fixture
def scores() -> ScoreTable:
    columns = {"baseline": np.array([80.0, 0.0, np.nan]), "<ours>": np.array([90.04, 50.16, np.nan])}
    return ScoreTable(["background", "a & b", "absent"], columns)


def test_mean_leaves_absent_classes_out(scores: ScoreTable) -> None:
    assert scores.mean_iou() == pytest.approx({"baseline": 40.0, "<ours>": 70.1})


def test_markdown(scores: ScoreTable) -> None:
    assert scores.markdown() == (
        "| IoU in % | baseline | <ours> |\n"
        "| :-- | --: | --: |\n"
        "| background | 80.0 | 90.0 |\n"
        "| a & b | 0.0 | 50.2 |\n"
        "| absent | – | – |\n"
        "| mIoU | 40.0 | 70.1 |\n"
    )


class Page(HTMLParser):
    """Collects text, table cells, and every address that a browser would follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.get_starttag_text() in ("<td>", "<th>") and data.strip():
            self.cells.append(data)


def test_page_holds_everything_and_needs_nothing(tmp_path: Path, scores: ScoreTable) -> None:
    picture = tmp_path / "tile.png"
    Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3)).save(picture)
    path = tmp_path / "index.html"
    write_results_page(path, "A <title>", {"seed": "0"}, ["python a.py 'x & y'"], scores, [picture])
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert [cell for row in [scores.header(), *scores.rows()] for cell in row] == page.cells
    assert {"A <title>", "seed", "0", "python a.py 'x & y'"} <= {word.strip() for word in page.words}
    assert 'name="viewport"' in text
    (address,) = page.addresses
    kind, data = address.split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == picture.read_bytes()
    assert not re.search(r"https?://|@import|url\(", text)
