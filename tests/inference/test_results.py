"""The folder of results."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from internvl_seg.inference.results import ResultsError, ResultsFolder

from ..error_table import DocumentedError

CLASSES, PALETTE = ["sky", "road"], [[0, 0, 255], [90, 80, 70]]
RUN = {"checkpoint_sha256": "abc", "seconds": 3}


def open_folder(folder: Path, resume: bool = False, **run: Any) -> ResultsFolder:
    return ResultsFolder(folder, CLASSES, PALETTE, RUN | run, ["checkpoint_sha256"], resume)


def fill(results: ResultsFolder, name: str, frames: int = 0) -> None:
    places = [f"frames/{name}/{i:06d}.png" for i in range(1, frames + 1)] or [f"labels/{name}.png"]
    for place in places:
        results.write_labels(place, np.array([[0, 1, 1]], np.uint8))
    numbers = [f"{i:06d}" for i in range(1, frames + 1)] or [""]
    results.add(Path(f"in/{name}.jpg"), name, [(n, (1, 3), {"sky": 1, "road": 2}) for n in numbers])


def rows(folder: Path) -> list[list[str]]:
    with (folder / "areas.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_labels_are_ids_in_colour(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    results.write_labels("labels/deep/a.png", np.array([[0, 1]], np.uint8))
    results.write_labels("labels/b.png", np.array([[0, 999]], np.uint16))
    picture = Image.open(tmp_path / "labels/deep/a.png")
    assert np.asarray(picture).tolist() == [[0, 1]]
    assert np.asarray(picture.convert("RGB")).tolist() == [PALETTE]
    assert np.asarray(Image.open(tmp_path / "labels/b.png")).tolist() == [[0, 999]]


def test_areas_have_a_row_for_every_picture(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    fill(results, "a")
    fill(results, "clip", frames=2)
    assert rows(tmp_path) == [
        ["file", "output", "frame", "height", "width", "sky", "road"],
        ["in/a.jpg", "a", "", "1", "3", "1", "2"],
        ["in/clip.jpg", "clip", "000001", "1", "3", "1", "2"],
        ["in/clip.jpg", "clip", "000002", "1", "3", "1", "2"],
    ]


def test_a_resumed_run_knows_what_is_done(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    for name in ("a", "gone", "cut"):
        fill(results, name)
    fill(results, "clip", frames=2)
    (tmp_path / "labels/gone.png").unlink()
    areas = tmp_path / "areas.csv"
    areas.write_text(areas.read_text() + "in/cut.jpg,c")  # Killed while it wrote.
    results = open_folder(tmp_path, resume=True, seconds=4)
    done = [name for name in ("a", "gone", "cut", "clip", "new") if results.is_done(Path(f"in/{name}.jpg"), name)]
    assert done == ["a", "cut", "clip"]
    assert not results.is_done(Path("in/a.jpg"), "other/a")  # Named otherwise because other files came along.
    fill(results, "gone")
    assert [row[1] for row in rows(tmp_path)[1:]] == ["a", "cut", "clip", "clip", "gone"]


def test_a_video_with_a_frame_missing_is_not_done(tmp_path: Path) -> None:
    fill(open_folder(tmp_path), "clip", frames=2)
    (tmp_path / "frames/clip/000002.png").unlink()
    results = open_folder(tmp_path, resume=True)
    assert not results.is_done(Path("in/clip.jpg"), "clip")
    assert len(rows(tmp_path)) == 1


def test_without_resume_the_areas_begin_anew(tmp_path: Path) -> None:
    fill(open_folder(tmp_path), "a")
    results = open_folder(tmp_path)
    assert not results.is_done(Path("in/a.jpg"), "a")
    assert len(rows(tmp_path)) == 1


def test_another_models_results_are_not_mixed_in(tmp_path: Path, documented_error: DocumentedError) -> None:
    open_folder(tmp_path)
    with documented_error("--resume finds results of another model", ResultsError):
        open_folder(tmp_path, resume=True, checkpoint_sha256="xyz")
    open_folder(tmp_path / "empty", resume=True)


def test_contact_sheets_hold_sixty_overlays_each(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    figure = Figure(figsize=(0.2, 0.2))
    for i in range(61):
        results.write_overlay(f"deep/{i}", figure)
    pages = results.write_contact_sheets([f"deep/{i}" for i in range(61)] + ["not there"])
    assert [page.name for page in pages] == ["contact_sheet.jpg", "contact_sheet_2.jpg"]
    assert Image.open(pages[0]).height > 5 * Image.open(pages[1]).height
    assert open_folder(tmp_path / "empty").write_contact_sheets([]) == []
