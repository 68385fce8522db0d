"""Kinds of values."""

from typing import Any

import pytest

from internvl_seg.common import kinds

ODD: list[Any] = [
    None,
    "3",
    "",
    b"3",
    3.5,
    float("nan"),
    float("inf"),
    -1,
    0,
    True,
    [1],
    [1, 2, 3],
    {"a": 1},
    object(),
    10**30,
]
FITTING: dict[Any, list[Any]] = {
    kinds.whole: [1, 3, 1 << 20],
    kinds.whole_numbers: [[-1], (0, 3), range(2), []],
    kinds.integer: [-5, 0, 2**63],
    kinds.epsilon: [1e-6, 0.5],
    kinds.rate: [0, 0.0, 0.99],
    kinds.ratio: [0.1, 4, 4.5],
    kinds.number: [-3, 0, 1e30],
    kinds.flag: [True, False],
    kinds.text: ["x"],
    kinds.height_and_width: [3, (3, 4), [3, 4], {"height": 3, "width": 4}],
    kinds.optional(kinds.whole): [None, 3],
}


@pytest.mark.parametrize("kind", FITTING)
def test_a_kind_takes_its_values_or_says_what_was_expected(kind: Any) -> None:
    for value in FITTING[kind]:
        kind(value)
    for value in ODD:
        try:
            kind(value)
        except kinds.UnfitValueError as error:
            assert str(error)  # noqa: PT017  # Any other error is none.


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (kinds.whole, [None, "3", 3.0, True, 0, -1, 2**21]),
        (kinds.whole_numbers, [3, "3", [1.5], [True], None, {1}]),
        (kinds.integer, [1.0, "1", False, 2**64]),
        (kinds.epsilon, [0, 1, "1e-6", None, float("nan")]),
        (kinds.rate, [1, -0.1, "0"]),
        (kinds.ratio, [0, float("inf"), "4"]),
        (kinds.number, [float("inf"), float("nan"), "0", True]),
        (kinds.flag, [0, 1, "true", None]),
        (kinds.text, ["", 3, None, b"x"]),
        (kinds.height_and_width, [(3,), (3, 4, 5), 3.0, "3", {"height": 3}]),
        (kinds.optional(kinds.whole), [0, "3"]),
    ],
)
def test_values_of_other_kinds(kind: Any, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(kinds.UnfitValueError):
            kind(value)


def test_an_argument_is_named() -> None:
    kinds.check_arguments({"depth": kinds.whole}, {"depth": 3, "other": None})
    with pytest.raises(ValueError, match=r"^depth='xx.{70,80}\.\.\. is not a whole number from 1 to 1,048,576\.$"):
        kinds.check_arguments({"depth": kinds.whole}, {"depth": "x" * 200})


@pytest.mark.parametrize(
    "value",
    [
        *(None, 3, -1.5, "it's", b"x", [], [1, "a"], (), (1,), (1, 2), {}, {"a": [1, {2: (3,)}]}, {4}, set(), True),
        *("x" * 60, list(range(15)), range(3), frozenset(), {"a": None, "b": {}}),
    ],
)
def test_a_short_value_is_shown_as_python_does(value: Any) -> None:
    assert kinds.short(value) == repr(value)


def test_a_long_value_is_cut() -> None:
    full_of_itself: list[Any] = []
    full_of_itself += [full_of_itself, full_of_itself]
    for value in ("x" * 200, list(range(10**6)), {"a": {"b": "x" * 200}}, full_of_itself, [10**999] * 3):
        shown = kinds.short(value)
        assert len(shown) == 80
        assert shown.endswith("...")
        assert len(kinds.short(value, 200)) <= 200
    assert kinds.short({"a": "x" * 10**6}).startswith("{'a': 'xxxx")
    assert kinds.short([10**10_000]) == "[a whole number of 33,220 bits]"  # Which Python does not write out.
