"""Files, folders and globs."""

import os
import re
from pathlib import Path

import pytest

from internvl_seg.inference.inputs import SUFFIXES, InputError, find_files, passed_over_in_words
from internvl_seg.inference.pictures import HEIC_SUFFIXES

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


def test_other_files_in_folders_are_told(folder: Path) -> None:
    for name in ("x.HEIC", "deep/z.npy", "deep/er/y.npy", "LICENSE", ".hidden.npy", "out/q.svg"):
        (folder / name).touch()
    told: list[Path] = []
    find_files([".", "deep", str(folder / "deep")], leave_out="out", passed_over=told.append)
    names = [os.path.relpath(path, folder) for path in told]
    assert sorted(names) == ["LICENSE", "deep/er/y.npy", "deep/z.npy", "notes.txt", "x.HEIC"]
    said = passed_over_in_words(told)
    assert said == (
        "5 files that are no pictures or videos here (.npy 2, without a suffix 1, .heic 1, .txt 1). HEIC and HEIF "
        "pictures are not read here: convert them to JPEG or PNG, such as by ImageMagick: magick x.heic x.png"
    )
    assert passed_over_in_words([Path("a.svg")]) == "1 file that is no picture or video here (.svg 1)"
    told.clear()
    assert Path("x.HEIC") in find_files([".", "x.HEIC", "notes.txt"], leave_out="out", passed_over=told.append)
    assert sorted(path.name for path in told) == ["LICENSE", "y.npy", "z.npy"]
    find_files(["*.HEIC", "b.jpg"], leave_out="out", passed_over=pytest.fail)


def test_a_folder_of_other_files_names_them(folder: Path) -> None:
    (folder / "phone").mkdir()
    for name in ("a.heic", "b.heif", "c.html"):
        (folder / "phone" / name).touch()
    with pytest.raises(InputError) as error:
        find_files(["b.jpg", "phone"], leave_out="out")
    assert str(error.value) == (
        f"'phone' holds no picture and no video (looked from {folder}). Passed over: 3 files that are no pictures or "
        "videos here (.heic 1, .heif 1, .html 1). HEIC and HEIF pictures are not read here: convert them to JPEG or "
        "PNG, such as by ImageMagick: magick x.heic x.png."
    )


def test_a_file_that_is_named_in_two_ways_is_found_once(folder: Path) -> None:
    assert find_files(["b.jpg", str(folder / "b.jpg"), "deep/../b.jpg"], leave_out="out") == [Path("b.jpg")]


def test_the_guide_lists_the_suffixes_that_are_taken_from_folders() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs/inference.md").read_text()
    (line,) = re.findall(r"Of a folder, files are taken by their suffix.*?(?=\n- )", guide, re.DOTALL)
    listed = set(re.findall(r"`(\.\w+)`", line)) - HEIC_SUFFIXES
    assert listed >= SUFFIXES
    assert listed - SUFFIXES <= {".avif", ".avifs"}  # A Pillow may be made without them.


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
