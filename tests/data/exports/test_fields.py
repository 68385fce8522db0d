"""Values in JSON files."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.fields import as_list, as_mapping, as_number, as_size, as_text, as_whole, first_upper
from tests.data.exports.refusals import refusal

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers(10**300, 10**400),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
)


@given(ANYTHING)
def test_a_value_is_right_or_named(value: Any) -> None:
    kinds: list[tuple[Callable[[Any, str], Any], type]] = [
        (as_list, list),
        (as_mapping, dict),
        (as_number, float),
        (as_text, str),
        (as_whole, int),
    ]
    for check, kind in kinds:
        found, words = refusal(partial(check, value, "'a' of task 7 of b.json"))
        assert type(found) is kind or words.startswith("'a' of task 7 of b.json is ")
        assert len(words) < 300


def test_sizes() -> None:
    assert as_size(30, 20.0, "a.jpg") == (20, 30)
    for width in (0, -1, 1.5, None, True, float("nan")):
        with pytest.raises(SourceError, match=r"of a.jpg is"):
            as_size(width, 20, "a.jpg")


def test_sentences_begin_with_a_capital_but_not_names_of_files() -> None:
    assert first_upper("task 7 of a.json") == "Task 7 of a.json"
    assert first_upper("a.json") == "a.json"
    assert first_upper("") == ""
