"""Files, folders and globs."""

from pathlib import Path

import pytest

from internvl_seg.inference.inputs import InputError, find_files

from ..error_table import DocumentedError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "deep/er/c.tif", "deep/d.mp4", "out/labels/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["b.jpg"], ["b.jpg"]),
        (["."], ["a.PNG", "b.jpg", "deep/d.mp4", "deep/er/c.tif"]),
        (["deep"], ["deep/d.mp4", "deep/er/c.tif"]),
        (["*.jpg", "b.jpg", "."], ["b.jpg", "a.PNG", "deep/d.mp4", "deep/er/c.tif"]),
        (["**/*.tif"], ["deep/er/c.tif"]),
        (["notes.txt"], ["notes.txt"]),  # Asked for by name: what is wrong with it is said later.
        (["out/labels/b.png"], ["out/labels/b.png"]),
    ],
)
@pytest.mark.usefixtures("folder")
def test_they_are_found_once_and_without_the_results(patterns: list[str], found: list[str]) -> None:
    assert [path.as_posix() for path in find_files(patterns, leave_out="out")] == found


@pytest.mark.parametrize(
    ("pattern", "case"),
    [
        ("none.jpg", "a file to segment is not there"),
        ("*.bmp", "a glob of files to segment names none"),
        ("empty", "a folder to segment holds no picture"),
    ],
)
def test_what_is_not_there_is_told(pattern: str, case: str, folder: Path, documented_error: DocumentedError) -> None:
    (folder / "empty").mkdir()
    with documented_error(case, InputError):
        find_files([pattern], leave_out="out")
