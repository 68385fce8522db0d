"""What the checks of a config find."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmengine.config import Config


class Contradiction(NamedTuple):
    """Values of a config that do not go together.

    Attributes:
        key: Dotted key of the value that is to be changed, with indices as ``[0]``.
        problem: What is wrong, as it goes on after the key: "= VALUE, but ...".
        mend: What to do.
        fatal: Whether the run would fail or learn the wrong thing; otherwise it may be meant.
    """

    key: str
    problem: str
    mend: str
    fatal: bool = True

    def __str__(self) -> str:
        where, _, field = self.key.rpartition(".")
        return f"{where}: {field} {self.problem} {self.mend}" if where else f"{field} {self.problem} {self.mend}"


def option(key: str, value: Any) -> str:
    """The ``--cfg-options`` that give a key another value."""
    text = f"[{','.join(map(str, value))}]".replace(" ", "") if isinstance(value, (list, tuple)) else str(value)
    return f"--cfg-options {key.replace('[', '.').replace(']', '')}={text}"


def found_value(value: Any) -> str:
    """A value that is of another kind than expected, as the problem of a contradiction begins."""
    return f"= {value!r} is text" if isinstance(value, str) else f"= {value!r}"


def type_name(node: dict[str, Any]) -> str:
    """The name in ``type``, which may be a class and may have a scope, such as 'mmseg.'."""
    kind = node.get("type", "")
    return kind.rpartition(".")[2] if isinstance(kind, str) else str(getattr(kind, "__name__", kind))


def listed(config: Config, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The dicts at a key, one or a list of them, with their keys."""
    node: Any = config
    for part in key.split("."):
        node = (node or {}).get(part)
    if isinstance(node, dict):
        yield key, node
    elif isinstance(node, (list, tuple)):
        yield from ((f"{key}[{i}]", item) for i, item in enumerate(node) if isinstance(item, dict))
