"""Names of losses: MMSegmentation adds up those of one head that have the same."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmseg.registry import MODELS

from .contradiction import Contradiction, option, type_name
from .losses import losses


def check_loss_names(config: Config) -> Iterator[Contradiction]:
    """Find losses of several kinds under one name: they are trained, but the log shows only their sum.

    Args:
        config: The config.
    """
    first: dict[tuple[int, str], dict[str, Any]] = {}
    for key, loss, head in losses(config):
        name = _name(loss)
        if name is None:
            continue
        other = first.setdefault((id(head), name), loss)
        if type_name(other) != type_name(loss):
            yield Contradiction(
                f"{key}.loss_name",
                f"= {name!r} is that of {type_name(other)}, too: the log shows only the sum of both.",
                f"Set {option(f'{key}.loss_name', f'{name}_{type_name(loss).lower()}')} to see each.",
                fatal=False,
            )


def _name(loss: dict[str, Any]) -> str | None:
    """What a loss is called, by its config or its class; None if that is not known."""
    kind = loss.get("type")
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    if "loss_name" in loss or not inspect.isclass(kind):
        found = loss.get("loss_name")
    else:
        parameter = inspect.signature(kind).parameters.get("loss_name")
        found = None if parameter is None else parameter.default
    return found if isinstance(found, str) else None
