"""The folder of results."""

import csv
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from internvl_seg.inference.predictions import PredictionsFolder
from internvl_seg.inference.results import ResultsFolder
from internvl_seg.inference.run_folder import ResultsError

from ..data.test_writing import end, hold
from ..error_table import DocumentedError

CLASSES, PALETTE = ["sky", "road"], [[0, 0, 255], [90, 80, 70]]
RUN = {"checkpoint_sha256": "abc", "seconds": 3}


def open_folder(
    folder: Path, resume: bool = False, tell: Callable[[str], None] = lambda _: None, **run: Any
) -> ResultsFolder:
    return ResultsFolder(folder, CLASSES, PALETTE, RUN | run, ["checkpoint_sha256"], resume, tell)


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
    fill(results, "half")
    areas.write_text(areas.read_text()[:-1])  # Killed while it wrote: 2 may have been 20.
    results = open_folder(tmp_path, resume=True, seconds=4)
    done = [name for name in ("a", "gone", "cut", "clip", "half", "new") if results.is_done(Path(f"in/{name}.jpg"))]
    assert done == ["a", "cut", "clip"]
    assert not results.is_done(Path("other/a.jpg"))
    fill(results, "gone")
    assert [row[1] for row in rows(tmp_path)[1:]] == ["a", "cut", "clip", "clip", "gone"]


def test_a_resumed_run_keeps_the_names_that_it_gave(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    for name in ("a", "b", "=c", "gone"):
        fill(results, name)
    (tmp_path / "labels/gone.png").unlink()
    files = [
        Path(f"in/{name}") for name in ("a.jpg", "a.png", "a.tif", "b.jpg", "=c.jpg", "gone.jpg", "gone.png", "d.png")
    ]
    results = open_folder(tmp_path, resume=True)
    assert results.names(files) == ["a", "a.png", "a.tif", "b", "=c", "gone", "gone.png", "d"]
    assert results.names([path.absolute() for path in files[:2]]) == ["a", "a.png"]
    assert results.is_done(Path("in/b.jpg").absolute())


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a//b", "a/../../b", "two\nlines"])
def test_a_table_names_nothing_outside_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep/er/out"
    results = open_folder(folder)
    fill(results, "a")
    results.add(Path("in/b.jpg"), name, [("", (1, 3), {"sky": 1, "road": 2})])
    place = Path(f"{folder}/labels/{name}.png")
    if "//" not in name and "tmp" not in name:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    results = open_folder(folder, resume=True)
    assert not results.is_done(Path("in/b.jpg"))
    assert results.names([Path("in/a.jpg"), Path("in/b.jpg")]) == ["a", "b"]
    assert len(rows(folder)) == 2


def test_two_files_of_one_name_do_not_both_keep_it(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    fill(results, "a")
    results.add(Path("in/b.jpg"), "a", [("", (1, 3), {"sky": 1, "road": 2})])
    results = open_folder(tmp_path, resume=True)
    assert results.names([Path("in/a.jpg"), Path("in/b.jpg")]) == ["a", "b"]
    assert (results.is_done(Path("in/a.jpg")), results.is_done(Path("in/b.jpg"))) == (True, False)


def test_a_video_with_a_frame_missing_is_not_done(tmp_path: Path) -> None:
    fill(open_folder(tmp_path), "clip", frames=2)
    (tmp_path / "frames/clip/000002.png").unlink()
    results = open_folder(tmp_path, resume=True)
    assert not results.is_done(Path("in/clip.jpg"))
    assert len(rows(tmp_path)) == 1


def test_without_resume_an_earlier_run_is_set_aside(tmp_path: Path) -> None:
    results, figure = open_folder(tmp_path), Figure(figsize=(0.2, 0.2))
    for name in ("a", "deep/b"):
        fill(results, name)
        results.write_overlay(name, figure)
    fill(results, "clip", frames=2)
    results.write_contact_sheets(["a"])
    mine = [
        "notes.txt",
        "contact_sheets.jpg",
        "contact_sheet_of_mine.jpg",
        "earlier_1/areas.csv",
        "photos/labels/a.png",
    ]
    for name in mine:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told: list[str] = []
    results = open_folder(tmp_path, tell=told.append)
    assert not results.is_done(Path("in/a.jpg"))
    assert len(rows(tmp_path)) == 1
    (aside,) = (path for path in tmp_path.glob("earlier_*") if path.name != "earlier_1")
    for path, content in before.items():
        name = path.relative_to(tmp_path)
        assert (path if name.as_posix() in mine else aside / name).read_bytes() == content
    new = {path.relative_to(tmp_path).as_posix() for path in tmp_path.iterdir()}
    assert new == {"areas.csv", "run.json", "photos", "earlier_1", aside.name, *mine[:3]}
    (line,) = told
    assert line.startswith(f"{tmp_path} held the results of an earlier run; they are in {aside} now.")
    assert "\n" not in line

    fill(results, "a")
    PredictionsFolder(tmp_path, 1, RUN, ["checkpoint_sha256"], resume=True, tell=told.append)  # There is none of it.
    assert not (tmp_path / "areas.csv").exists()
    assert not (tmp_path / "labels").exists()
    PredictionsFolder(tmp_path, 1, RUN, ["checkpoint_sha256"], tell=told.append)
    assert len(told) == 3
    found = sorted(path.parent.name.partition("_")[0] for path in tmp_path.glob("earlier_*/run.json"))
    assert found == ["earlier"] * 3
    assert len(list(tmp_path.glob("earlier_*/predictions.csv"))) == 1
    PredictionsFolder(tmp_path / "new", 1, RUN, ["checkpoint_sha256"], tell=told.append)
    assert len(told) == 3


@pytest.mark.parametrize("resume", [True, False])
def test_labels_of_no_run_are_not_mixed_with_results(resume: bool, tmp_path: Path) -> None:
    (tmp_path / "labels/deep").mkdir(parents=True)
    open_folder(tmp_path / "empty", resume)
    (tmp_path / "labels/deep/a.png").write_text("the truth")
    with pytest.raises(ResultsError, match=r"labels/deep/a\.png is there, but no areas\.csv .* move labels/ away"):
        open_folder(tmp_path, resume)
    assert (tmp_path / "labels/deep/a.png").read_text() == "the truth"
    assert not (tmp_path / "areas.csv").exists()


def test_another_models_results_are_not_mixed_in(tmp_path: Path, documented_error: DocumentedError) -> None:
    open_folder(tmp_path)
    with documented_error("--resume finds results of another model", ResultsError):
        open_folder(tmp_path, resume=True, checkpoint_sha256="xyz")
    open_folder(tmp_path / "empty", resume=True)


def test_the_rows_of_a_video_are_written_at_once(tmp_path: Path) -> None:
    results, sizes = open_folder(tmp_path), set()

    def frames() -> Iterator[tuple[str, tuple[int, int], dict[str, int]]]:
        for number in range(1, 2001):
            sizes.add((tmp_path / "areas.csv").stat().st_size)
            yield f"{number:06d}", (1, 3), {"sky": 1, "road": 2}

    results.add(Path("in/clip.mp4"), "clip", frames())
    assert len(sizes) == 1  # Until the last row is made, none is in the file.
    assert len(rows(tmp_path)) == 2001


def test_contact_sheets_hold_sixty_overlays_each(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    figure = Figure(figsize=(0.2, 0.2))
    for i in range(61):
        results.write_overlay(f"deep/{i}", figure)
        results.add(Path(f"{i}.png"), f"deep/{i}", [("", (1, 1), {"sky": 1, "road": 0})])
    results.write_overlay("not done", figure)  # Left by a run before.
    pages = results.write_contact_sheets([f"deep/{i}" for i in range(61)] + ["not done"])
    assert [page.name for page in pages] == ["contact_sheet.jpg", "contact_sheet_2.jpg"]
    assert Image.open(pages[0]).height > 5 * Image.open(pages[1]).height
    assert open_folder(tmp_path / "empty").write_contact_sheets([]) == []


def test_rows_are_kept_only_when_that_is_asked_for(tmp_path: Path) -> None:
    fill(open_folder(tmp_path), "a")
    results = ResultsFolder(tmp_path, CLASSES, PALETTE, RUN, ["checkpoint_sha256"])
    assert not results.is_done(Path("in/a.jpg"))
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, None])
def test_a_run_that_is_not_known_is_not_gone_on_with(content: bytes | None, tmp_path: Path) -> None:
    fill(open_folder(tmp_path), "a")
    (tmp_path / "run.json").unlink() if content is None else (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ResultsError, match=r"run\.json does not say which run .* leave --resume out"):
        open_folder(tmp_path, resume=True)
    assert len(rows(tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"file,output\n", b"\0\0\n", b"a" * 200_000 + b"\n"])
def test_a_damaged_table_is_not_gone_on_with(content: bytes, tmp_path: Path) -> None:
    fill(open_folder(tmp_path), "a")
    (tmp_path / "areas.csv").write_bytes(content)
    with pytest.raises(ResultsError, match=r"areas\.csv is damaged: "):
        open_folder(tmp_path, resume=True)


def test_damage_is_told(tmp_path: Path, documented_error: DocumentedError) -> None:
    fill(open_folder(tmp_path), "a")
    (tmp_path / "areas.csv").write_text("file,output\n")
    with documented_error("--resume finds another table", ResultsError):
        open_folder(tmp_path, resume=True)
    (tmp_path / "run.json").write_text("{")
    with documented_error("--resume finds a damaged run.json", ResultsError):
        open_folder(tmp_path, resume=True)


def test_what_a_killed_run_had_begun_is_removed(tmp_path: Path) -> None:
    end(hold(tmp_path / "labels/deep/a.png"))
    end(hold(tmp_path / "b.csv"))
    open_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["areas.csv", "run.json"]


def test_rows_are_all_written_or_none(tmp_path: Path) -> None:
    results = open_folder(tmp_path)
    fill(results, "a")
    before = (tmp_path / "areas.csv").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limit[1]))
    try:
        with pytest.raises(OSError, match=r"No space left|File too large"):
            results.add(Path("in/clip.mp4"), "clip", [(f"{i:06d}", (1, 3), {"sky": 1, "road": 2}) for i in range(9)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "areas.csv").read_bytes() == before
    assert not results.is_done(Path("in/clip.mp4"))


def test_names_of_classes_are_no_formulas(tmp_path: Path) -> None:
    classes = ["=cmd|'/c calc'!A1", "two\nlines"]
    for resume in (False, True):
        ResultsFolder(tmp_path, classes, PALETTE, RUN, ["checkpoint_sha256"], resume)
        assert rows(tmp_path)[0][5:] == [f"'{classes[0]}", classes[1]]
