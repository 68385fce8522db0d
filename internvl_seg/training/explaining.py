"""Errors of what MMEngine builds from a config, told with the key under which it stands."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..checkpoints import CheckpointError
from .config import ConfigError, walk

# Packages whose hooks fail by their fields in a config, and how; in one's own a traceback is what helps.
_LIBRARIES = ("mmengine", "mmseg", "mmpretrain")
_OF_FIELDS = (TypeError, ValueError, LookupError, AttributeError, AssertionError, ZeroDivisionError)


def _at_work(error: BaseException) -> list[dict[str, Any]]:
    """The configs of what MMEngine was building, initialising or calling when an error was raised, innermost first.

    That of a data loader, which is no object of its own to MMEngine, is ``{"loader": True}``.
    """
    nodes: list[Any] = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name, values = frame.f_code.co_name, frame.f_locals
        if name == "build_from_cfg" or (name == "initialize" and isinstance(values.get("cfg"), dict)):
            nodes.append(values["cfg"])
        elif name == "build_dataloader":
            nodes.append({"loader": True})
        elif name == "register_hook" and isinstance(values.get("hook"), dict):
            nodes.append(values["hook"])
        elif name in ("register_hook", "call_hook") and isinstance(error, _OF_FIELDS):
            kind = type(values.get("hook"))
            if kind.__module__.partition(".")[0] in _LIBRARIES:
                nodes.append({"type": kind.__name__})
    return [dict(node.to_dict() if isinstance(node, ConfigDict) else node) for node in reversed(nodes)]


def _reason(error: BaseException, node: dict[str, Any]) -> str:
    """What an error says; of one that says little, what was found where it was raised."""
    text = str(error).strip()
    if not text:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {last.line} ({Path(last.filename).name}, line {last.lineno})"
    text = text.partition(" in <")[0]  # MMEngine adds the hook.
    if isinstance(error, KeyError) and " " not in text:
        text = f"there is no {text}"
    given = [f"{key} = {value!r}" for key, value in node.items() if isinstance(value, str) and key != "type"]
    given += [f"{key} = None" for key, value in node.items() if value is None]
    if isinstance(error, TypeError) and "not supported between" in text and given:
        text += f". Look at what is text or None: {', '.join(given)}"
    return text


@contextmanager
def explaining(config: Config) -> Iterator[None]:
    """Say in which key of a config the object stands that could not be built within this context.

    Args:
        config: The config.

    Raises:
        ConfigError: MMEngine was building something; what it raises itself does not know of files and keys.
    """
    try:
        yield
    except (CheckpointError, ConfigError):
        raise
    except Exception as error:
        nodes = _at_work(error)
        if not nodes:
            raise
        places = list(walk(config.to_dict()))
        outwards = ((_places(node, nodes[i + 1 :], places), node) for i, node in enumerate(nodes))
        keys, node = next((found for found in outwards if found[0]), ([], nodes[0]))
        where = f"{config.filename}: {' or '.join(keys)}" if keys else str(config.filename)
        unknown = re.search(r"([\w.]+) is not in the [\w:. -]+ registry", str(error))
        if unknown:
            problem = f"type={unknown[1]!r} is not registered; check its spelling and custom_imports."
            raise ConfigError(f"{where}: {problem}") from error
        kind = f" (type={node['type']!r})" if "type" in node else ""
        raise ConfigError(f"{where}{kind}: {_reason(error, node)}") from error


def _places(node: dict[str, Any], outer: list[dict[str, Any]], places: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """The keys at which the config of an object stands; ``outer`` are those that it was built for."""
    if "loader" in node:
        found = _places(outer[0], [], places) if outer else []
        return [key.removesuffix("_cfg") + "_dataloader" for key in found if key.endswith("_cfg")]
    found = [key for key, other in places if other == node]
    return found or [key for key, other in places if key and other.get("type") == node.get("type", "")]
