"""Which attribute of features is their class."""

from collections.abc import Sequence
from typing import Any

from .class_table import given_classes
from .export import MOST_CLASSES
from .source import Source

# In the order in which they are taken.
_NAMES = (
    "class",
    "classname",
    "label",
    "category",
    "fclass",
    "cname",
    "mcname",
    "landcover",
    "landuse",
    "type",
    "kind",
    "classid",
    "classvalue",
    "categoryid",
    "gridcode",
    "code",
)
_TIDY = str.maketrans("", "", " _-")


def value_of(value: Any) -> str | None:
    """An attribute's value as text, a whole number without its point; None if it is empty."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split()) or None


def class_attribute(source: Source, attributes: Sequence[dict[str, Any]]) -> str | None:
    """The attribute that is the class of features.

    That is one whose values are all classes of ``--classes``; or else one called as classes are; or else the only one
    with texts that are the same in most features. None if there is none.

    Args:
        source: What the user says.
        attributes: Of each feature.
    """
    keys = [key for key in dict.fromkeys(key for each in attributes for key in each) if _may_be(attributes, key)]
    names = {label.name for label in given_classes(source)}
    called = [key for name in _NAMES for key in keys if key.translate(_TIDY).casefold() == name]
    ordered = [*called, *(key for key in keys if key not in called)]
    for key in ordered:
        if names and _values(attributes, key) <= names:
            return key
    if called:
        return called[0]
    texts = [key for key in keys if _is_text(attributes, key)]
    shared = [key for key in texts if 2 * len(_values(attributes, key)) <= len(attributes)]
    return shared[0] if len(shared) == 1 else None


def _values(attributes: Sequence[dict[str, Any]], key: str) -> set[str]:
    return {value for each in attributes if (value := value_of(each.get(key))) is not None}


def _may_be(attributes: Sequence[dict[str, Any]], key: str) -> bool:
    plain = all(isinstance(each.get(key), str | int | float | None) for each in attributes)
    return plain and 0 < len(_values(attributes, key)) <= MOST_CLASSES


def _is_text(attributes: Sequence[dict[str, Any]], key: str) -> bool:
    return all(isinstance(each.get(key), str | None) for each in attributes)
