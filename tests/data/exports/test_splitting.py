"""Splits depend on names and the seed alone, and nothing of a group is in two."""

from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from internvl_seg.data.exports.export import Annotated, SourceError
from internvl_seg.data.exports.splitting import draw_splits, group_names, read_lists, read_shares, split_in, split_of

groups = st.sets(st.text(min_size=1, max_size=6), min_size=3, max_size=60)


def pictures(*names: str, **groups: str) -> list[Annotated]:
    return [Annotated(Path(f"{name}.png"), name, None, group=groups.get(name)) for name in names]


@given(first=groups, more=groups, seed=st.integers(0, 99))
def test_pictures_that_are_added_change_no_split(first: set[str], more: set[str], seed: int) -> None:
    shares = (0.6, 0.2, 0.2)
    try:
        before, after = draw_splits(first, shares, seed), draw_splits(first | more, shares, seed)
    except SourceError:
        reject()  # A split is left empty; were all, Hypothesis would say so.
    assert {name: after.of[name] for name in first} == before.of


@given(names=groups)
def test_a_seed_that_leaves_no_split_empty_is_found(names: set[str]) -> None:
    found = draw_splits(names, (0.8, 0.1, 0.1))
    assert set(found.of.values()) == {"train", "val", "test"}
    assert draw_splits(names, (0.8, 0.1, 0.1), found.seed).of == found.of


def test_shares_are_met() -> None:
    of = draw_splits(map(str, range(20_000)), (0.7, 0.2, 0.1), 5).of
    counts = [sum(split == name for split in of.values()) for name in ("train", "val", "test")]
    assert counts == pytest.approx([14_000, 4000, 2000], rel=0.05)


def test_the_order_of_names_is_no_matter() -> None:
    names = [f"site {i}" for i in range(30)]
    assert draw_splits(names, (0.8, 0.1, 0.1), 3).of == draw_splits(names[::-1], (0.8, 0.1, 0.1), 3).of


def test_a_split_without_a_share_gets_nothing() -> None:
    assert set(draw_splits("abcdefgh", (0.5, 0, 0.5)).of.values()) == {"train", "test"}


def test_a_seed_that_leaves_a_split_empty_is_refused() -> None:
    with pytest.raises(SourceError, match=r"leave .*without any of the 3 groups with seed 0"):
        draw_splits("abc", (0.98, 0.01, 0.01), 0)
    with pytest.raises(SourceError, match="2 groups cannot be in 3 splits"):
        draw_splits("ab", (0.8, 0.1, 0.1))


@pytest.mark.parametrize(
    ("text", "shares"), [("0.8,0.1,0.1", (0.8, 0.1, 0.1)), ("80,20", (0.8, 0.2, 0)), ("1", (1, 0, 0))]
)
def test_shares(text: str, shares: tuple[float, ...]) -> None:
    assert read_shares(text) == pytest.approx(shares)


@pytest.mark.parametrize("text", ["", "a,b", "-1,2", "0,0,0", "1,2,3,4", "nan,1", "inf"])
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(SourceError, match="expected shares"):
        read_shares(text)


def test_groups_by_pattern_folder_and_export() -> None:
    some = pictures("a/site1_01", "a/site1_02", "b/site2_01", **{"a/site1_01": "p", "a/site1_02": "p"})
    assert list(group_names(some, r"(site\d+)_").values()) == ["site1", "site1", "site2"]
    assert list(group_names(some, "folder").values()) == ["a", "a", "b"]
    assert list(group_names(some, None).values()) == ["p", "p", "b/site2_01"]
    assert list(group_names(some, "picture").values()) == [picture.name for picture in some]
    with pytest.raises(SourceError, match=r"1 of 3 names, the first is 'b/site2_01'"):
        group_names(some, "site1")
    with pytest.raises(SourceError, match="no regular expression"):
        group_names(some, "(")


def test_lists_name_pictures_in_every_way(tmp_path: Path) -> None:
    some = pictures("x/a.b", "x/c", "y/d", "y/e")
    (tmp_path / "my_train.txt").write_text("\ufeffx/a.b\nimages/x/c.jpg\n\n", encoding="utf-8")
    (tmp_path / "valid.txt").write_text("d.png\r\n")
    found = read_lists(some, [tmp_path / "my_train.txt", tmp_path / "valid.txt"])
    assert found.of == {"x/a.b": "train", "x/c": "train", "y/d": "val"}


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train.txt": "z"}, r"train\.txt:1: 'z' is no picture of the export"),
        ({"train.txt": "a\na"}, None),
        ({"train.txt": "x/a", "val.txt": "x/a"}, r"val\.txt:1: 'x/a' is in the list of train, too"),
        ({"train.txt": "b"}, r"'b' is 2 pictures: x/b, y/b"),
        ({"list.txt": "a"}, "its name says no split"),
    ],
)
def test_lists_that_cannot_be_followed(tmp_path: Path, lists: dict[str, str], message: str | None) -> None:
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    files = [tmp_path / name for name in lists]
    if message is None:
        assert read_lists(pictures("x/a", "x/b", "y/b"), files).of == {"x/a": "train"}
        return
    with pytest.raises(SourceError, match=message):
        read_lists(pictures("x/a", "x/b", "y/b"), files)


def test_words_for_splits() -> None:
    assert split_in(["data", "valid"]) == "val"
    assert split_in(["train", "val"]) is None
    assert split_in(["photos"]) is None


def test_the_part_of_a_path_nearest_to_its_end_that_names_one_split() -> None:
    assert split_of("annotations/instances_val2017.json") == "val"
    assert split_of("train/val/a.png") == "val"
    assert split_of("train/train_or_val/a.png") == "train"
    assert split_of("Training/a.png") == "train"
    # Short words are words of folders; in names of files they may mean anything.
    assert split_of("dev/TR_0012.jpg") is None
    assert split_in(["dev"]) == "val"
