"""Multipliers of learning rate and weight decay for some weights: whether they are read, and whose they are."""

import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from torch import nn

from .contradiction import Contradiction

_KEY = "optim_wrapper.paramwise_cfg.custom_keys"
_MULTIPLIERS = ("lr_mult", "decay_mult")


def check_custom_keys(config: Config) -> Iterator[Contradiction]:
    """Find entries of ``custom_keys`` that are no dicts, or hold what neither MMEngine nor the optimizer reads.

    Args:
        config: The config.
    """
    for name, entry in _entries(config).items():
        if not isinstance(name, str) or not name.strip():
            yield Contradiction(
                _KEY,
                f"has the key {name!r}, which is part of every weight's name.",
                "Name a part of the names that are meant, such as decode_head; for all weights set lr or weight_decay "
                "of optim_wrapper.optimizer.",
            )
            continue
        if not isinstance(entry, dict):
            yield Contradiction(
                f"{_KEY}.{name}", f"= {entry!r}: expected a dict.", f"Write {name}=dict(lr_mult={entry!r})."
            )
            continue
        known = [*_MULTIPLIERS, *_fields_of_groups(config)]
        for field, value in entry.items():
            if len(known) > len(_MULTIPLIERS) and field not in known:
                near = get_close_matches(field, known, 1)
                yield Contradiction(
                    f"{_KEY}.{name}.{field}",
                    f"is read by nothing; there are {', '.join(known)}.",
                    f"Write {near[0]}." if near else "Leave it out.",
                )
            elif field in _MULTIPLIERS and not (type(value) in (int, float) and 0 <= value < float("inf")):
                yield Contradiction(
                    f"{_KEY}.{name}.{field}", f"= {value!r}: expected a number, 0 or above.", "Write 1.0 for no change."
                )


def check_matches(config: Config, model: nn.Module) -> Iterator[Contradiction]:
    """Find entries of ``custom_keys`` that are part of no weight's name, so that they change nothing.

    Args:
        config: The config.
        model: The model that it describes.
    """
    names = [name for name, _ in model.named_parameters()]
    parts = {part for name in names for part in name.split(".") if not part.isdigit()}
    for key in _entries(config):
        if not any(key in name for name in names):
            near = get_close_matches(key.rpartition(".")[2], parts, 3, cutoff=0.5)
            yield Contradiction(
                f"{_KEY}.{key}",
                "is part of no weight's name, so it changes nothing.",
                f"Names have parts such as {', '.join(near or sorted(parts)[:6])}; take one of these, or leave it out.",
            )


def _entries(config: Config) -> dict[str, Any]:
    """Those that MMEngine's own constructor reads; what others do with them is not known."""
    wrapper = config.get("optim_wrapper") or {}
    if not isinstance(wrapper, dict) or wrapper.get("constructor") not in (None, "DefaultOptimWrapperConstructor"):
        return {}
    return dict((wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {})


def _fields_of_groups(config: Config) -> list[str]:
    """What an optimizer takes for each group of weights; nothing if that is not known."""
    kind = ((config.get("optim_wrapper") or {}).get("optimizer") or {}).get("type")
    kind = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
    if not inspect.isclass(kind):
        return []
    fields = list(inspect.signature(kind).parameters.values())[1:]
    return [] if any(field.kind is field.VAR_KEYWORD for field in fields) else [field.name for field in fields]
