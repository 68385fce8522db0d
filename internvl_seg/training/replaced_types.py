"""Classes of MMEngine, mmcv and MMSegmentation in whose place this package has its own, however a config names them."""

import contextlib
from collections.abc import Iterable
from typing import Any

import mmengine.registry
import mmseg.registry
from mmengine.utils import get_object_from_string

_PACKAGES = ("mmseg", "mmengine", "mmcv")
_REGISTRIES = ("MODELS", "TRANSFORMS", "METRICS", "HOOKS", "LOOPS", "VISBACKENDS")


def name_replaced_types(nodes: Iterable[dict[str, Any]]) -> None:
    """Give each ``type`` that is a class, or its dotted path, its registered name if that is a class of this package.

    The registry gives ours for MMSegmentation's names. A pure Python config has classes instead, and what MMEngine
    writes of it has their paths; both go past the registry.

    Args:
        nodes: All dicts of a config; they are changed.
    """
    for node in nodes:
        if name := _registered_name(node.get("type")):
            node["type"] = name


def _registered_name(kind: Any) -> str | None:
    """The name under which a class of this package is registered in the place of another one, if there is one."""
    if isinstance(kind, str):
        # One dot is of a scope and a name in it.
        if kind.partition(".")[0] not in _PACKAGES or kind.count(".") < 2:
            return None
        with contextlib.suppress(Exception):  # What is not there is told when it is built.
            kind = get_object_from_string(kind)
    if not isinstance(kind, type) or kind.__module__.partition(".")[0] not in _PACKAGES:
        return None
    for registries, scope in ((mmseg.registry, "mmseg."), (mmengine.registry, "")):
        for registry in _REGISTRIES:
            ours = getattr(registries, registry).module_dict.get(kind.__name__)
            if isinstance(ours, type) and kind in ours.__bases__ and ours.__module__.startswith("internvl_seg."):
                return f"{scope}{kind.__name__}"
    return None
