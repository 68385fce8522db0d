"""Edits of JSON documents."""

import json
import random
from collections.abc import Sequence
from typing import Any

from .edits_of_bytes import change_bytes

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    3,
    0.5,
    10**9,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "F32",
    "64",
    "rms_norm",
    "../model.safetensors",
    "/etc/passwd",
    "\0",
    "\ud800",
    [],
    {},
    [None],
    [0, 0],
    [64, "a"],
    [-1],
    [1 << 40],
    {"a": {}},
    [[[[[]]]]],
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values in a JSON document, itself included."""
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [path, *(place for key in keys for place in _places(node[key], (*path, key)))]


def _change_value(document: Any, where: float, draw: random.Random, values: Sequence[Any]) -> Any:
    """A JSON document with a value replaced, removed, exchanged, added or under another name."""
    places = _places(document)
    path = places[int(where * len(places))]
    value = draw.choice(values)
    if not path:
        return value
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    kind = draw.choice(("replace", "replace", "replace", "delete", "wrap", "rename", "copy"))
    if kind == "delete":
        del parent[key]
    elif kind == "wrap":
        parent[key] = draw.choice(([parent[key]], {"a": parent[key]}, str(parent[key])))
    elif kind == "rename" and isinstance(parent, dict):
        parent[draw.choice(("", "../a", f"{key}.1", str(key).upper(), "vision_config"))] = parent.pop(key)
    elif kind == "copy":
        other = list(parent) if isinstance(parent, dict) else range(len(parent))
        parent[key] = parent[draw.choice(list(other))]
    else:
        parent[key] = value
    return document


def change_json(data: bytes, where: float, draw: random.Random, values: Sequence[Any] = VALUES) -> bytes:
    """With a value changed, removed, doubled or under another name, by one of some values if it is another."""
    try:
        return json.dumps(_change_value(json.loads(data), where, draw, values)).encode()
    except (ValueError, RecursionError):
        return change_bytes(data, where, draw)
