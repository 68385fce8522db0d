"""Files of class names: every encoding, every way to write a colour, and what is no name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.data.class_files import ClassFileError, read_class_file

NAMES = "Straße\nHaus\n"


def read(folder: Path, content: bytes | str) -> list[tuple[str, tuple[int, int, int] | None]]:
    path = folder / "classes.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_class_file(path)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_every_encoding_gives_the_names(encoding: str, ends: str, tmp_path: Path) -> None:
    assert read(tmp_path, NAMES.replace("\n", ends).encode(encoding)) == [("Straße", None), ("Haus", None)]
    big_endian = b"\xfe\xff" + NAMES.replace("\n", ends).encode("utf-16-be")
    assert read(tmp_path, big_endian) == [("Straße", None), ("Haus", None)]


def test_an_old_encoding_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, NAMES.encode())
    assert not caplog.records
    read(tmp_path, "Haus\nStraße\n".encode("cp1252"))
    assert "classes.txt is no UTF-8 and is read as Windows-1252 (Latin-1): 'Straße'" in caplog.text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("road 2", ("road 2", None)),
        ("lane 1 2", ("lane 1 2", None)),
        ("road2", ("road2", None)),
        ("2", ("2", None)),
        ("road, paved", ("road, paved", None)),
        ("bike/foot-path (2)", ("bike/foot-path (2)", None)),
        ("class #1", ("class #1", None)),
        ("road 2 128 64 0", ("road 2", (128, 64, 0))),
        ("road 2, 128, 64, 0", ("road 2", (128, 64, 0))),
        ("road 2\t128\t64\t0", ("road 2", (128, 64, 0))),
        ("road 2 #804000", ("road 2", (128, 64, 0))),
        ("sign symbol  192 128 128", ("sign symbol", (192, 128, 128))),
        ("water,0,0,255", ("water", (0, 0, 255))),
        ("water, 0, 0, 255", ("water", (0, 0, 255))),
        ("water 0,0,255", ("water", (0, 0, 255))),
        ("water\t0\t0\t255", ("water", (0, 0, 255))),
        ("water;0;0;255", ("water", (0, 0, 255))),
        ("water: 0 0 255", ("water", (0, 0, 255))),
        ("water:0,0,255::", ("water", (0, 0, 255))),
        ("tree #00fF01", ("tree", (0, 255, 1))),
        ("tall tree,#00ff01", ("tall tree", (0, 255, 1))),
        ('"zone 1 2 3"', ("zone 1 2 3", None)),
        ('"zone 1 2 3" 4 5 6', ("zone 1 2 3", (4, 5, 6))),
        ('"#tag", #010203', ("#tag", (1, 2, 3))),
        ("12 1 2 3", ("12", (1, 2, 3))),
    ],
)
def test_a_line_is_a_name_and_perhaps_a_colour(
    line: str, expected: tuple[str, tuple[int, int, int] | None], tmp_path: Path
) -> None:
    assert read(tmp_path, f"first\n{line}\n")[1] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "names no class"),
        ("# all of it\n\n", "names no class"),
        ("a\n\nb\n", r"classes\.txt:2 is empty, between names"),
        ("a\nb\n\n# c\na\n", r":3 is empty"),
        ("a\nb\n a \n", r":3 names 'a' again, after line 1"),
        ("a\nb 300 0 0\n", r":2: 300, 0, 0 is no colour.*0 to 255"),
        ("a\nb 0.5 0.5 1.0\n", r":2: 0\.5, 0\.5, 1\.0 is no colour"),
        ("a\nb -1 0 0\n", r":2: -1, 0, 0 is no colour"),
        ("a\nb,1,2\n", r":2: 1, 2 is no colour"),
        ("a\nb,1,2,3,4\n", r":2: 1, 2, 3, 4 is no colour"),
        ("a\nb 1 2 " + "9" * 5000, r":2: 1, 2, 9+ is no colour"),
        ("9" * 5000 + ": a\n1: a b: 3", r"2: .*is no colour"),
        ("a 1 2 3 255\nb 4 5 6 255\n", r":1: 'a 1 2 3 255', as every line, ends in four numbers"),
        ("a\nb #fff\n", r":2: #fff is no colour"),
        ("a\n, 1, 2, 3\n", r":2: ', 1, 2, 3' has no name"),
        ("a\n1 2 3\n", r":2: '1 2 3' has no name"),
        ('a\n""\n', r":2: '\"\"' has no name"),
        ('a\n"b" c\n', r":2: .* has 'c' behind the quoted name"),
        ("1: a\n0: b\n", r":1 has number 1, but is the line of id 0\. Sort"),
        ("1: a\n2: b\n", r":1 has number 1, but is the line of id 0"),
        ("a\nb\x07\n", r":2 holds the character '\\x07'"),
        ("name,r,g,b\na,0,0,0\nb,1,1,1\n", r":1: 'name,r,g,b' seems to be a header"),
        ("ID;Label\n0;a\n1;b\n", r":1: 'ID;Label' seems to be a header"),
        ("sky, sea, land\n", r":1: 'sky, sea, land' names several classes in one line"),
        ('["sky", "sea"]\n', r":1: .* names several classes in one line"),
        (NAMES.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xff\xfea\x00\x00\xd8", "begins as UTF-16-LE and is none"),
        (b"\xef\xbb\xbf\xff", "begins as UTF-8 and is none"),
        (b"a\x81\n", r"no Windows-1252 \(Latin-1\) either: byte 1 is 0x81"),
    ],
)
def test_what_is_no_list_of_names_is_told(content: bytes | str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ClassFileError, match=message):
        read(tmp_path, content)


def test_remarks_and_empty_lines_around_count_for_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "\n# r g b\n\nsky 1 2 3\n# then\nsea\n\n\n") == [("sky", (1, 2, 3)), ("sea", None)]


@pytest.mark.parametrize("mark", [":", ": ", "\t", ",", "="])
def test_numbers_in_order_are_taken_off(mark: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"0{mark}sky 1 2 3\n1{mark}sea\n") == [("sky", (1, 2, 3)), ("sea", None)]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters='"'), min_size=1)
COLOURS = st.none() | st.tuples(*[st.integers(0, 255)] * 3)


@given(
    classes=st.lists(
        st.tuples(WORDS.map(str.strip).filter(bool), COLOURS), min_size=1, max_size=8, unique_by=lambda c: c[0]
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    is_hex=st.booleans(),
)
def test_whatever_stands_in_quotes_comes_back(
    classes: list[tuple[str, tuple[int, int, int] | None]],
    encoding: str,
    is_hex: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def told(colour: tuple[int, int, int] | None) -> str:
        return "" if colour is None else " #" + bytes(colour).hex() if is_hex else " " + " ".join(map(str, colour))

    lines = "".join(f'"{name}"{told(colour)}\n' for name, colour in classes)
    assert read(tmp_path_factory.mktemp("classes"), lines.encode(encoding)) == classes


@given(content=st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_names_or_told(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        names = [name for name, _ in read(tmp_path_factory.mktemp("classes"), content)]
    except ClassFileError:
        return
    assert names
    assert all(names)
    assert len(set(names)) == len(names)
