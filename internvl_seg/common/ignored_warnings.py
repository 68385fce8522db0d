"""Warnings that are left out for a while, whichever threads ask for it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Python's filters are those of the whole process, and ``warnings.catch_warnings`` puts back what it found. Of two
# threads that are in it at once, the last to leave would put back what the first had set: nothing is told any more.
_CHANGING = threading.Lock()
_outermost = ExitStack()
_inside = 0


@contextmanager
def ignoring_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Within this context no warning of a category is told; the last thread that leaves it puts the filters back.

    Args:
        category: Of the warnings.
    """
    global _inside
    with _CHANGING:
        if not _inside:
            _outermost.enter_context(warnings.catch_warnings())
        _inside += 1
        warnings.simplefilter("ignore", category)
    try:
        yield
    finally:
        with _CHANGING:
            _inside -= 1
            if not _inside:
                _outermost.close()
