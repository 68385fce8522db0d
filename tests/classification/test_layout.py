"""Names in messages about folders."""

import pytest

from internvl_seg.classification.layout import some


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["b", "a"], "a, b"),
        (["c", "a", "b"], "a, b, c"),
        (["d", "c", "a", "b"], "a, b, c and 1 more"),
        (["e", "d", "c", "a", "b"], "a, b, c and 2 more"),
    ],
)
def test_the_first_few_are_named(names: list[str], text: str) -> None:
    assert some(names) == text
