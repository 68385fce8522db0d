"""Warnings that are left out for a while."""

import time
import warnings

from internvl_seg.common.ignored_warnings import ignoring_warnings

from ..in_threads import in_threads


def tell(text: str, category: type[Warning] = UserWarning) -> None:
    warnings.warn(text, category, stacklevel=2)


def test_those_of_the_category_are_ignored_within_it() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with ignoring_warnings(RuntimeWarning):
            tell("ignored", RuntimeWarning)
            tell("another kind")
        tell("after it", RuntimeWarning)
        with ignoring_warnings():
            with ignoring_warnings(RuntimeWarning):
                tell("within two")
            tell("within one")
        tell("after both")
    assert [str(warning.message) for warning in told] == ["another kind", "after it", "after both"]


def test_threads_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)

    def look(number: int) -> None:
        with ignoring_warnings((UserWarning, RuntimeWarning)[number % 2]):
            time.sleep(number % 5 * 2e-4)  # So that they leave in another order than that in which they came.

    in_threads(look, range(64))
    assert warnings.filters == before
