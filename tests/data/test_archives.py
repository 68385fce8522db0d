"""Archives that are damaged, or made to harm."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from mmengine import fileio

from internvl_seg.data import archives
from internvl_seg.data.archives import ArchiveError, list_archive
from internvl_seg.data.image_tree import find_tree

from ..error_table import DocumentedError
from ..in_threads import in_threads


def pack(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_are_read_where_they_stand(kind: str, tmp_path: Path) -> None:
    found = list_archive(pack(tmp_path / f"a.{kind}", {"deep/x.txt": b"one", "y.txt": b"two"}))
    assert {name: fileio.get(path) for name, path in found.items()} == {"deep/x.txt": b"one", "y.txt": b"two"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_threads_may_read_at_the_same_time(kind: str, tmp_path: Path) -> None:
    contents = {f"{i}.bin": bytes([i]) * 2_000 for i in range(16)}
    found = list_archive(pack(tmp_path / f"a.{kind}", contents))
    assert in_threads(fileio.get, [found[name] for name in contents] * 8) == [*contents.values()] * 8


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png"])
def test_names_outside_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="a name outside of it"):
        list_archive(pack(tmp_path / f"a.{kind}", {"b.png": b"", name: b"x"}))


def test_a_gigabyte_of_zeros_is_not_unpacked(tmp_path: Path, documented_error: DocumentedError) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.png", "w") as member:
        for _ in range(80):
            member.write(bytes(1 << 20))
    with documented_error("an archive holds a file that would fill the memory", ArchiveError):
        list_archive(path)
    with pytest.raises(ArchiveError, match=r"x\.png in .*a\.zip has 80 MiB, of 0\.1 MiB packed"):
        fileio.get(f"zip://{path}::x.png")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_too_large_to_be_read_is_told(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / f"a.{kind}", {"x.png": os.urandom(3000)})
    name = list_archive(path)["x.png"]
    monkeypatch.setattr(archives, "_LARGEST", 2000)
    with pytest.raises(ArchiveError, match="that is no picture"):
        fileio.get(name)


def test_a_header_that_lies_is_damage(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x.png": bytes(5000)})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # Says that it has 10 bytes unpacked.
        at = data.index(signature) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"x\.png in .*a\.zip cannot be read"):
        fileio.get(list_archive(path)["x.png"])


def test_a_file_of_several_names_is_read_by_each_and_other_links_by_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    os.symlink("/etc/passwd", tmp_path / "c.txt")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a.txt", "b.txt", "c.txt"):
            archive.add(tmp_path / name, name)
    found = list_archive(tmp_path / "x.tar")
    assert {name: fileio.get(path) for name, path in found.items()} == {"a.txt": b"one", "b.txt": b"one"}


def test_archives_in_archives_end(tmp_path: Path) -> None:
    content = b""
    for _ in range(400):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo("x.tar")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        content = file.getvalue()[: len(content) + 1536]
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ArchiveError, match="cannot be read as an archive"):
        list_archive(tmp_path / "a.tar")


def test_junk_is_left_out_of_folders_and_archives_alike(tmp_path: Path) -> None:
    names = ["a/x.png", "a/._x.png", "__MACOSX/a/x.png", "a/Thumbs.db", "a/@eaDir/x.png", ".hidden/x.png"]
    pack(tmp_path / "packed.zip", dict.fromkeys(names, b"x"))
    for name in names:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()
    for place in ("packed", "folder"):
        tree = find_tree(tmp_path / place)
        assert tree is not None
        assert list(tree.files) == ["a/x.png"]
