import base64
import io
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from internvl_seg.probing.head_spec import HeadResult, HeadSpec, Subset
from internvl_seg.probing.report import Report, write_report
from internvl_seg.probing.selection import Reported

CLASSES = ["sky", "<b>road</b>", "a & b"]
SPEC = HeadSpec("vit<s>", "linear", (0,), "adamw", 1e-3, 0.01, True, 0)


def result(score: float, **fields: object) -> HeadResult:
    return HeadResult(replace(SPEC, **fields), score, [score, score / 2, None], checkpoint="heads/x.pth")


@pytest.fixture
def report() -> Report:
    results = [
        result(30 + 10 * block + seed + 100 * lr, blocks=(block,), seed=seed, lr=lr)
        for block in (0, 1)
        for seed in (0, 1, 2)
        for lr in (1e-3, 1e-2)
    ]
    results.append(result(12.34, blocks=(0, 1)))
    return Report("Heads <of> & on", "mIoU", results, CLASSES)


class Page(HTMLParser):
    """Collects sections, table cells, pictures and every address that a browser would follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.addresses, self.words = text, [], [], []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)
        self.words.append((self.open[-1] if self.open else "", data.strip()))

    def sections(self) -> list[str]:
        return [data for tag, data in self.words if tag == "h2"]

    def pictures(self) -> list[bytes]:
        return [base64.b64decode(address.removeprefix("data:image/png;base64,")) for address in self.addresses]


def written(report: Report, folder: Path) -> Page:
    write_report(folder / "page/index.html", report)
    assert [path.name for path in (folder / "page").iterdir()] == ["index.html"]
    return Page((folder / "page/index.html").read_text(encoding="utf-8"))


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3)).save(file, "PNG")
    return file.getvalue()


def test_a_bare_report_has_the_heads_and_no_empty_section(report: Report, tmp_path: Path) -> None:
    page = written(report, tmp_path)
    always = [
        "Best head per block, on the validation images",
        "Repeated heads, on the validation images",
        "Blocks and learning rates, on the validation images",
        "Classes, on the validation images",
        "All heads, on the validation images",
    ]
    assert page.sections() == always
    assert page.open == []
    cells = {cell for row in page.rows for cell in row}
    assert {one.spec.name for one in report.results} <= cells
    # Best of all: block 1, seed 2, the larger learning rate.
    assert ("p", "43.00 % mIoU") in page.words
    assert ("code", "vit<s>_linear_block1_adamw_lr0.01_wd0.01_seed2") in page.words
    std = statistics.stdev([41.0, 42.0, 43.0])
    assert ("dd", f"42.00 ± {std:.2f} (mean ± std of 3)") in page.words


def test_the_headline_is_of_images_that_had_no_part_in_the_choice(report: Report, tmp_path: Path) -> None:
    one = Reported("the test images", 39.5, [40.0, 39.0, None], ("some head",))
    page = written(replace(report, reported={"vit<s>": one, "": one}), tmp_path)
    assert page.sections()[0] == "Chosen heads on other images"
    assert ("p", "39.50 % mIoU") in page.words
    assert ("p", "on the test images") in page.words
    assert any("on all validation images, where it has 43.00 %" in said for _, said in page.words)
    assert any("These images had no part in the choice" in said for _, said in page.words)
    folds = replace(one, images="2 folds of the validation images", chosen=("some head", "another"))
    told = written(replace(report, reported={"vit<s>": folds, "": folds}), tmp_path).words
    assert any("No image was scored by a head in whose choice it had a part" in said for _, said in told)
    best = "vit<s>_linear_block1_adamw_lr0.01_wd0.01_seed2"
    assert ["vit<s>", best, "43.00", "39.50", "the test images"] in page.rows
    page = written(replace(report, reported={"vit<s>": None, "": None}), tmp_path)
    assert ("p", "43.00 % mIoU") in page.words
    assert any("expect less on other images" in said for _, said in page.words)


def test_the_tables_hold_the_numbers(report: Report, tmp_path: Path) -> None:
    rows = written(report, tmp_path).rows
    start = rows.index(["blocks", "mIoU in %", "below the best", "seed", "lr"])
    assert rows[start + 1 : start + 4] == [
        ["0", "33.00", "10.00", "2", "0.01"],
        ["1", "43.00", "0.00", "2", "0.01"],
        ["0, 1", "12.34", "30.66", "0", "0.001"],
    ]
    start = rows.index(["blocks", "mIoU in %, mean ± std", "lowest", "highest", "n", "lr"])
    assert rows[start + 1 : start + 5] == [
        ["1", "42.00 ± 1.00", "41.00", "43.00", "3", "0.01"],
        ["1", "41.10 ± 1.00", "40.10", "42.10", "3", "0.001"],
        ["0", "32.00 ± 1.00", "31.00", "33.00", "3", "0.01"],
        ["0", "31.10 ± 1.00", "30.10", "32.10", "3", "0.001"],
    ]


def test_everything_is_on_the_page_and_nothing_elsewhere(report: Report, tmp_path: Path) -> None:
    figure = Figure(figsize=(1, 1))
    results = [*report.results, *(result(5.0 + seed, subset=Subset(0.1, None, seed)) for seed in (0, 1))]
    full = replace(
        report,
        results=results,
        confusion=np.array([[3, 1, 0], [2, 6, 0], [0, 0, 0]]),
        pictures=[("street <1>", png()), ("street 2", figure)],
        features=[("v: features", figure)],
        timing={"features": 30.0, "training": 10.0},
        facts={"store <key>": "see https://example.org/<x>"},
        commands=["python tools/probe.py a.py 'x & y'"],
        config="model = dict(type='<X>')\nurl = 'https://example.org'",
    )
    page = written(full, tmp_path)
    assert page.sections() == [
        "Best head per block, on the validation images",
        "Repeated heads, on the validation images",
        "Blocks and learning rates, on the validation images",
        "Classes, on the validation images",
        "Confusion of the best head, in % of each true class, on the validation images",
        "Examples, on the validation images",
        "Features as colours",
        "Few images, on the validation images",
        "Time",
        "All heads, on the validation images",
        "To repeat it",
    ]
    assert ["features", "30.0", "75.0"] in page.rows
    assert ["all", "40.0", "100.0"] in page.rows
    assert ("p", "v: features") in page.words
    for said in [
        ("h1", "Heads <of> & on"),
        ("p", "street <1>"),
        ("dt", "store <key>"),
        ("dd", "see https://example.org/<x>"),
        ("code", "python tools/probe.py a.py 'x & y'"),
        ("pre", full.config),
    ]:
        assert said in page.words
    # Blocks, learning rates, classes, confusion, two examples, features, few images.
    assert len(page.addresses) == 8
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert page.pictures()[4] == png()
    assert all(Image.open(io.BytesIO(picture)).format == "PNG" for picture in page.pictures())
    # Nor a name and an address of the program that drew it, which change with its releases.
    assert not any(b"matplotlib" in picture for picture in page.pictures())
    assert not {"script", "link", "iframe", "b", "x"} & set(page.tags)
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    assert not re.search(r"https?:|@import|url\(", style[1])


def test_amounts_of_images_stand_before_the_scores_of_repeated_heads(tmp_path: Path) -> None:
    results = [result(9.0 * n + i, subset=Subset(None, n, i)) for n in (1, 2) for i in (0, 1)]
    rows = written(Report("t", "top-1", results, CLASSES), tmp_path).rows
    start = rows.index(["blocks", "training images", "top-1 in %, mean ± std", "lowest", "highest", "n"])
    assert [row[1:3] for row in rows[start + 1 : start + 3]] == [
        ["2 a class", "18.50 ± 0.71"],
        ["1 a class", "9.50 ± 0.71"],
    ]


def test_the_same_report_is_the_same_bytes(report: Report, tmp_path: Path) -> None:
    assert written(report, tmp_path / "a").text == written(report, tmp_path / "b").text


def test_mistakes_of_many_classes_are_listed(tmp_path: Path) -> None:
    confusion = 90 * np.eye(30, dtype=np.int64)
    confusion[4, 7], confusion[7, 4] = 10, 1
    one = HeadResult(replace(SPEC, encoder="v"), 50.0, [50.0] * 30)
    classes = [f"class {i}" for i in range(30)]
    rows = written(Report("t", "top-1", [one], classes, confusion), tmp_path).rows
    start = rows.index(["true", "predicted", "images", "% of the true class"])
    assert rows[start + 1 : start + 3] == [["class 4", "class 7", "10", "10.0"], ["class 7", "class 4", "1", "1.1"]]
    assert rows[start + 3][0] == "score"  # The next table: what never happened is no mistake.


def test_several_encoders_and_kinds(tmp_path: Path) -> None:
    results = [
        result(10.0, encoder="a"),
        result(20.0, encoder="b", kind="mlp", channels=64),
        result(15.0, encoder="b", kind="knn", solver="closed_form", lr=0.0, neighbours=20),
    ]
    rows = written(Report("t", "top-1", results, CLASSES), tmp_path).rows
    start = rows.index(["encoder", "blocks", "top-1 in %", "below the best", "seed", "head"])
    assert rows[start + 1 : start + 3] == [
        ["a", "0", "10.00", "10.00", "0", "linear, AdamW"],
        ["b", "0", "20.00", "0.00", "0", "MLP, AdamW, 64 channels"],
    ]
    assert ["accuracy in %", "b: MLP, AdamW, block 0", "a: linear, AdamW, block 0"] in rows
    confused = Report("t", "top-1", results, CLASSES, np.eye(3, dtype=np.int64))
    assert (
        "Confusion of the best head (b), in % of each true class, on the validation images"
        in written(confused, tmp_path).sections()
    )


def diverged(**fields: object) -> HeadResult:
    return HeadResult(replace(SPEC, **fields), None, [None] * 3, diverged=True)


def test_heads_that_diverged_are_told_and_are_in_no_figure(report: Report, tmp_path: Path) -> None:
    some = [*report.results, diverged(lr=9.0, blocks=(0,)), diverged(seed=3, blocks=(1,))]
    page = written(replace(report, results=some), tmp_path / "some")
    without = written(report, tmp_path / "none")
    assert page.pictures() == without.pictures()
    assert ["diverged", "vit<s>_linear_block0_adamw_lr9_wd0.01_seed0"] in [row[:2] for row in page.rows]
    assert [row[0] for row in page.rows[-2:]] == ["diverged", "diverged"]
    assert any("2 of 15 heads diverged" in words for _, words in page.words)
    # Of seeds, one of which diverged, the mean over the others is too good.
    assert ["1", "41.10 ± 1.00 (1 more diverged)"] in [row[:2] for row in page.rows]


def test_heads_that_all_diverged_have_a_page(tmp_path: Path) -> None:
    heads = [diverged(), diverged(lr=1.0)]
    page = written(Report("t", "mIoU", heads, CLASSES), tmp_path)
    assert page.sections() == ["All heads, on the validation images"]
    assert ("p", "no score") in page.words
    assert [row[0] for row in page.rows[-2:]] == ["diverged", "diverged"]


def test_a_failed_page_leaves_the_old_one(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="confusion matrix"):
        write_report(path, replace(report, confusion=np.eye(2, dtype=np.int64)))
    with pytest.raises(ValueError, match="no head"):
        write_report(path, replace(report, results=[]))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]
