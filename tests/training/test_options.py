"""Options of the command line, as a shell passes them."""

import shlex
from argparse import ArgumentParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import DictAction

from internvl_seg.data.preflight import Command
from internvl_seg.training.config import add_options


def parse(*words: str) -> dict[str, Any]:
    parser = ArgumentParser()
    add_options(parser)
    options: dict[str, Any] = parser.parse_args(["--cfg-options", *words]).cfg_options
    return options


@pytest.mark.parametrize(
    "text",
    ["1", "1e-4", "True", "None", "a", "'5'", "[1,2]", "(1, 2)", "[(1, 2, 3), [a, b], c]", "1,2,3", "a,b", "", "[]",
     "()", "'[1,2]'", "(1,)", "[[1,2],[3]]", "(a", "a(b)", "it's", "0,"],
)  # fmt: skip
def test_without_blanks_all_is_as_mmengine_has_it(text: str) -> None:
    assert parse(f"key={text}") == {"key": DictAction._parse_iterable(text)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my data", "my data"),
        ("'my data'", "my data"),
        ("'a, b'", "a, b"),
        ("[traffic light, car]", ["traffic light", "car"]),
        ("['x, y', z]", ["x, y", "z"]),
        ("a b, c", ["a b", "c"]),
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ("[1,2]x", "[1,2]x"),
    ],
)
def test_names_and_paths_keep_their_blanks(text: str, value: Any) -> None:
    assert parse(f"key={text}") == {"key": value}


VALUES = st.recursive(
    st.integers()
    | st.booleans()
    | st.none()
    | st.sampled_from(["my data", "a,b", "(x) y", "it's", "a, 'b'", "-", "[1"]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["a", "b.c", "d.0"]), VALUES, min_size=1))
def test_a_command_that_is_advised_says_the_options_that_were_given(options: dict[str, Any]) -> None:
    command = Command(("python", "tools/train.py", "my config.py"), options).with_options({})
    words = shlex.split(command)
    assert words[:4] == ["python", "tools/train.py", "my config.py", "--cfg-options"]
    assert parse(*words[4:]) == options
