"""What tells a format by its JSON files, of which thousands may lie in a folder."""

from collections.abc import Callable
from typing import Any

from .export import ExportError
from .source import Source

# As many as a source keeps, so that formats that look one after the other read them once.
_LOOKED_AT = 4


def fitting_json(source: Source, fits: Callable[[Any], bool]) -> str | None:
    """The first JSON file, of a few spread over all of them, that holds what a format does.

    Args:
        source: The export.
        fits: Whether what a file holds is of the format.

    Returns:
        None if there is none; files that are no JSON count as none.
    """
    names = source.of_suffix(".json")
    step = max(1, (len(names) - 1) // (_LOOKED_AT - 1)) if len(names) > _LOOKED_AT else 1
    for name in names[::step][:_LOOKED_AT]:
        try:
            found = source.json(name)
        except ExportError:
            continue
        if fits(found):
            return name
    return None
