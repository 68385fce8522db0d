"""Files, folders and globs."""

import os
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


def test_junk_is_only_taken_when_it_is_named(folder: Path) -> None:
    for name in ("._b.jpg", "@eaDir/b.jpg", "__MACOSX/._b.jpg", "doc.pdf", "page.eps"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    whole = ["a.PNG", "b.jpg", "deep/d.mp4", "deep/er/c.tif"]
    assert [path.as_posix() for path in find_files(["."], leave_out="out")] == whole
    assert [path.as_posix() for path in find_files(["**/*.jpg"], leave_out="out")] == ["b.jpg"]
    named = ["._b.jpg", "@eaDir/b.jpg", "page.eps"]
    assert [path.as_posix() for path in find_files(named, leave_out="out")] == named
    assert [path.as_posix() for path in find_files(["@eaDir"], leave_out="out")] == ["@eaDir/b.jpg"]


def test_what_cannot_be_looked_into_is_told_and_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    original = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("er"):
            raise PermissionError(13, "Permission denied", path)
        return original(path)

    monkeypatch.setattr(os, "scandir", closed)
    with documented_error("a folder of files to segment cannot be read", InputError):
        find_files(["deep"], leave_out="out")
    told: list[tuple[Path, str]] = []
    found = find_files(["deep"], leave_out="out", failed=lambda *what: told.append(what))
    assert [path.as_posix() for path in found] == ["deep/d.mp4"]
    assert told == [(Path("deep/er"), "deep/er cannot be read: Permission denied.")]


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "~$doc.png", "a\0b.png"])
def test_odd_patterns_name_nothing(name: str, folder: Path) -> None:
    with pytest.raises(InputError, match="names no file"):
        find_files([name], leave_out="out")
