"""Files in folders, without what is left among them."""

import os
import socket
from pathlib import Path

import pytest

from internvl_seg.data.scanning import is_junk, scan_folder


@pytest.mark.parametrize(
    ("path", "junk"),
    [
        ("a.jpg", False),
        ("deep/a.jpg", False),
        ("../a.jpg", False),
        ("a._b.jpg", False),
        ("thumbs.jpg", False),
        ("._a.jpg", True),
        (".DS_Store", True),
        ("Thumbs.db", True),
        ("Desktop.ini", True),
        ("deep/@eaDir/a.jpg", True),
        ("__MACOSX/a.jpg", True),
        ("deep/__MACOSX/._a.jpg", True),
        (".hidden/a.jpg", True),
        ("$RECYCLE.BIN/a.jpg", True),
    ],
)
def test_what_systems_leave_is_known(path: str, junk: bool) -> None:
    assert is_junk(path) == junk


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path) -> list[str]:
    return list(scan_folder(folder))


def test_files_are_found_in_order(tmp_path: Path) -> None:
    fill(tmp_path, "b.txt", "a.txt", "deep/er/d.txt", "c/._e.txt", "@eaDir/b.txt", ".git/x")
    assert found(tmp_path) == ["a.txt", "b.txt", "deep/er/d.txt"]
    hidden = tmp_path / ".git"
    assert found(hidden) == ["x"]  # It was asked for.


def test_links_are_followed_once_around(tmp_path: Path) -> None:
    fill(tmp_path, "a/x.txt", "b/y.txt")
    os.symlink(tmp_path, tmp_path / "a/up")
    os.symlink("../b", tmp_path / "a/to_b")
    os.symlink("../a", tmp_path / "b/to_a")
    os.link(tmp_path / "a/x.txt", tmp_path / "a/z.txt")
    assert found(tmp_path) == ["a/x.txt", "a/z.txt", "a/to_b/y.txt", "b/y.txt", "b/to_a/x.txt", "b/to_a/z.txt"]


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "b.txt")
    os.symlink("gone", tmp_path / "annexed.txt")
    told: list[OSError] = []
    assert list(scan_folder(tmp_path, told.append)) == ["a.txt", "b.txt"]
    assert [(error.filename, error.strerror) for error in told] == [
        (str(tmp_path / "annexed.txt"), "A link to a file that is not there")
    ]
    with pytest.raises(FileNotFoundError, match=r"not there.*annexed\.txt"):
        found(tmp_path)


def test_only_files_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.txt")
        assert found(tmp_path) == ["a.txt"]


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.txt", "closed/b.txt")
    original = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return original(path)

    monkeypatch.setattr(os, "scandir", closed)
    errors: list[OSError] = []
    assert list(scan_folder(tmp_path, errors.append)) == ["a.txt"]
    assert [error.filename for error in errors] == [str(tmp_path / "closed")]
    with pytest.raises(PermissionError):
        list(scan_folder(tmp_path))
