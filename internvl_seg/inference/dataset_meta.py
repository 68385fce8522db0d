"""Names and colours of the classes that a checkpoint was trained with, which MMEngine keeps in its ``meta``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checkpoints.told import read_value
from ..common.kinds import UnfitValueError


def read_dataset_meta(meta: object, where: str) -> dict[str, Any]:
    """What a checkpoint says of its classes.

    Args:
        meta: The checkpoint's ``meta``; None if it has none.
        where: The checkpoint, for errors.

    Returns:
        Its ``meta.dataset_meta``, empty if there is none; ``classes`` is a list of names and ``palette`` one of RGB.

    Raises:
        WrongConfigError: It is something else.
    """
    told = read_value(_mapping, meta, where, "meta")
    return read_metainfo(told.get("dataset_meta"), where, "meta.dataset_meta")


def read_metainfo(metainfo: object, where: str, name: str) -> dict[str, Any]:
    """Names and colours of classes, as :func:`read_dataset_meta` gives them.

    Args:
        metainfo: A dict with ``classes`` and ``palette``, or without.
        where: Where it stands, for errors.
        name: Its key there, for errors.

    Raises:
        WrongConfigError: It is something else.
    """
    found: dict[str, Any] = read_value(_mapping, metainfo, where, name)
    for key, kind in (("classes", _names), ("palette", _colours)):
        if found.get(key) is not None:
            found[key] = read_value(kind, found[key], where, f"{name}.{key}")
    return found


def _mapping(value: object) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UnfitValueError("a dict or None")
    return dict(value or {})


def _names(value: object) -> list[str]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise UnfitValueError("a list of names")
    return list(value)


def _colours(value: Any) -> list[list[int]]:
    expected = "a list of [red, green, blue], whole numbers from 0 to 255"
    try:
        colours = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # Rows of several lengths.
        raise UnfitValueError(expected) from error
    if colours.size == 0:
        return []
    if colours.ndim != 2 or colours.shape[1] != 3 or colours.dtype.kind not in "iuf":
        raise UnfitValueError(expected)
    if not np.isin(colours, range(256)).all():
        raise UnfitValueError(expected)
    found: list[list[int]] = colours.astype(int).tolist()
    return found
