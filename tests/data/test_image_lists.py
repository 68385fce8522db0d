"""Lists of images: every way to name one, and lines that name none, several, or one again."""

from pathlib import Path

import pytest

from internvl_seg.data.image_lists import ImageListError, read_image_list

STEMS = {"a.png": "a", "b.c.jpg": "b.c", "site/a.png": "site/a", "ü d.tif": "ü d", "train/a.png": "train/a"}


def read(folder: Path, content: str | bytes, stems: dict[str, str] | None = None) -> list[str]:
    (folder / "list.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_image_list(folder / "list.txt", stems or STEMS, folder / "images/train")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a", "a.png"),
        ("a.png", "a.png"),
        (" a \t", "a.png"),
        ("./a", "a.png"),
        ("b.c", "b.c.jpg"),
        ("site/a", "site/a.png"),
        ("site\\a.png", "site/a.png"),
        ("ü d", "ü d.tif"),
        ("images/train/a.png", "a.png"),
        ("images\\train\\site\\a", "site/a.png"),
        ("train/b.c", "b.c.jpg"),
        ("train/a", "train/a.png"),
    ],
)
def test_a_line_names_an_image(line: str, name: str, tmp_path: Path) -> None:
    assert read(tmp_path, line) == [name]
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        assert read(tmp_path, f"\n{line}\r\n\r\n".encode(encoding)) == [name]


def test_the_order_is_that_of_the_lines_and_whole_paths_are_understood(tmp_path: Path) -> None:
    assert read(tmp_path, f"site/a\n{tmp_path / 'images/train/a.png'}\n") == ["site/a.png", "a.png"]


def test_a_longer_suffix(tmp_path: Path) -> None:
    stems = {"a_rgb.png": "a", "b_rgb.png": "b"}
    assert read(tmp_path, "b\na_rgb.png\n", stems) == ["b_rgb.png", "a_rgb.png"]
    assert read(tmp_path, "a_rgb\n", stems) == ["a_rgb.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nz\n", r"list\.txt:2: 'z' is no image in .*images/train\. Expected a name below"),
        ("a.jpg\n", r"list\.txt:1: 'a\.jpg' is no image"),
        ("b/ü d\n", r"list\.txt:1: 'b/ü d' is no image in .*\. Is it ü d\.tif\?"),
        ("a\n\nsite/a\n./a.png\n", r"list\.txt:4 names a\.png again, after line 1"),
        ("\n \n", "names no image"),
        ("a\0", "no text"),
    ],
)
def test_lines_that_name_no_image_are_told(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=message) as told:
        read(tmp_path, content)
    assert type(told.value).__module__.startswith("internvl_seg")


def test_a_name_of_two_images(tmp_path: Path) -> None:
    stems = {"a.png": "a", "a.jpg": "a"}
    with pytest.raises(ImageListError, match=r"list\.txt:1: 'a' may be a\.jpg or a\.png"):
        read(tmp_path, "a\n", stems)
    assert read(tmp_path, "a.jpg\n", stems) == ["a.jpg"]


def test_no_list_at_all(tmp_path: Path) -> None:
    for name, what in {"gone.txt": "not there", ".": "a folder"}.items():
        with pytest.raises(ImageListError, match=rf"ann_file .* is {what}\. Expected a list"):
            read_image_list(tmp_path / name, STEMS, tmp_path)


def test_whole_paths_are_understood_of_a_folder_that_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(Path(), f"{tmp_path / 'images/train/a.png'}\n") == ["a.png"]
