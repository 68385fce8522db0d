import os
import unicodedata
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvl_seg.data.names import is_output_name, output_names, readable


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["one/x.jpg"], ["x"]),
        (["val/b/y.jpg", "val/a/x.jpg"], ["y", "x"]),
        (["val/a/x.jpg", "val/b/x.jpg", "val/b/y.v2.jpg"], ["a/x", "b/x", "b/y.v2"]),
        (["val/x.jpg", "val/a/x.jpg"], ["x", "a/x"]),
        (["a/x.jpg", "a/x.png", "a/y.png"], ["x.jpg", "x.png", "y"]),
        (["a/x.jpg", "a/x.png", "b/y.png"], ["x.jpg", "x.png", "y"]),
        (["a/x.jpg", "a/x.png", "b/x.png", "b/y.png"], ["a/x.jpg", "a/x.png", "b/x", "b/y"]),
        # The second stem is the first's full name.
        (["a/x.jpg", "a/x.png", "a/x.jpg.tif"], ["x.jpg", "x.png", "x.jpg.tif"]),
        (["a/x.jpg", "a/X.jpg", "b/x.jpg"], ["a_x.jpg~1", "a_X.jpg~0", "b_x.jpg~2"]),
        # Straße.jpg and STRASSE.jpg, and the two ways to write an é.
        (["a/stra\u00dfe.jpg", "b/STRASSE.jpg"], ["a/stra\u00dfe", "b/STRASSE"]),
        (["a/\u00e9.jpg", "b/e\u0301.jpg"], ["a/\u00e9", "b/e\u0301"]),
        # x.png would be the file of one and the folder of another.
        (["a/x.jpg", "a/x.png/x.jpg"], ["x.jpg", "x.png/x"]),
        # The stem of ...jpg is '..'.
        (["a/...jpg", "a/x.jpg"], ["...jpg", "x"]),
        # One image, said in three ways.
        (["a/x.jpg", "a/./x.jpg", "b/../a/x.jpg"], ["x", "x", "x"]),
    ],
)
def test_the_shortest_form_that_tells_all_apart(paths: list[str], names: list[str]) -> None:
    assert output_names(paths) == names
    assert output_names([Path("/data", path) for path in paths]) == names


@pytest.mark.parametrize(
    ("paths", "kept", "taken", "names"),
    [
        (["a/x.jpg", "a/x.png", "a/y.jpg"], [None, "x", None], [], ["x.jpg", "x", "y"]),
        (["a/x.png", "b/x.png"], ["x", None], [], ["x", "b/x"]),
        (["a/x.jpg", "a/y.jpg"], ["x.jpg", None], [], ["x.jpg", "y"]),  # As of versions that gave all a suffix.
        (["a/X.jpg"], [None], ["x"], ["X.jpg"]),
        (["a/x.jpg"], [None], ["x", "x.jpg"], ["x.jpg~0"]),
        (["a/x.jpg"], [None], ["x", "x.jpg", "x.jpg~0"], ["x.jpg~1"]),
        (["a/x.jpg"], [None], ["x.png/y"], ["x.jpg"]),
        (["a.png/x.jpg", "b/x.jpg"], [None, None], ["a"], ["a.png_x.jpg~0", "b_x.jpg~1"]),
        (["a/x.jpg", "a/./x.jpg"], ["z", "z"], [], ["z", "z"]),
    ],
)
def test_names_that_are_given_stay(
    paths: list[str], kept: list[str | None], taken: list[str], names: list[str]
) -> None:
    assert output_names(paths, kept, taken) == names


@pytest.mark.parametrize("name", ["", "../x", "/x", "a//x", "a/.", "a/", "two\nlines", "x" * 300, "a/../../x"])
def test_a_name_that_leads_elsewhere_is_none(name: str) -> None:
    assert not is_output_name(name)
    assert all(is_output_name(known) for known in ("x", "a/x.jpg", "...jpg", "a%0A", "a_x~1"))


PARTS = st.sampled_from(
    ["a", "A", "a.png", "a.jpg", "a.jpg.tif", "a.png.png", "..", "...jpg", ".png", "a~0", "\u00e9", "e\u0301"]
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.text("aA./~", min_size=1, max_size=6)


def without_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@given(st.lists(PATHS, max_size=8))
@settings(max_examples=500)
def test_no_two_images_share_a_name_and_none_leaves_the_folder(paths: list[str]) -> None:
    files = {Path("/data/images", path).resolve() for path in paths} - {Path(folder) for folder in ("/", "/data")}
    names = dict(zip(files, output_names(list(files)), strict=True))
    written = {without_case(f"{name}.png") for name in names.values()}
    assert len(written) == len(files)
    assert written.isdisjoint(str(folder) for file in written for folder in PurePath(file).parents)
    for name in names.values():
        assert not PurePath(name).is_absolute()
        assert ".." not in name.split("/")
    backwards = sorted(files, reverse=True)
    assert output_names(backwards) == [names[file] for file in backwards]
    first = backwards[: len(backwards) // 2]
    kept = dict(zip(first, output_names(first), strict=True))
    later = output_names(backwards, [kept.get(file) for file in backwards])
    assert later[: len(first)] == list(kept.values())
    written = {without_case(f"{name}.png") for name in later}
    assert len(written) == len(files)
    assert written.isdisjoint(str(folder) for file in written for folder in PurePath(file).parents)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Köln 日本 🙂 50%.png", "Köln 日本 🙂 50%.png"),
        (os.fsdecode(b"bad\xff.png"), "bad%FF.png"),
        ("two\nlines\t\x1b[31m.png", "two%0Alines%09%1B[31m.png"),
        ("photo\u202egnp.exe", "photo%E2%80%AEgnp.exe"),
        ("a\u2028b\x85c", "a%E2%80%A8b%C2%85c"),
    ],
)
def test_odd_names_are_one_line_of_text(name: str, text: str) -> None:
    assert readable(name) == text
    assert readable(Path(name)) == text
    assert output_names([f"/data/{name}"]) == [text.rpartition(".")[0] or text]


def test_names_that_are_too_long_stay_apart(tmp_path: Path) -> None:
    long = "ü" * 125
    files = [f"{long}{end}.{kind}" for end in "ab" for kind in ("jpg", "png")] + [os.fsdecode(b"\xff" * 250 + b".a")]
    deep = [f"{'/'.join([long] * 3)}/{file}" for file in files]
    for paths in (files, deep, [f"/data/{'x' * 200}/{i}/{'y' * 200}" for i in "aA"]):
        names = output_names(paths)
        assert len(set(names)) == len(paths)
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / f"{name}.png").touch()


def test_odd_names_stay_apart() -> None:
    names = output_names([os.fsdecode(b"/data/a\xff.png"), "/data/a%FF.png"])
    assert len(set(names)) == 2
