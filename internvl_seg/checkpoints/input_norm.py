"""How the pictures that weights were trained on were normalised, against how a model normalises them."""

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from ..common.kinds import short
from .config_text import ConfigTextError, parse_config_text

logger = logging.getLogger(__name__)

# MMSegmentation's field, its reverse and MMPretrain's; and where their objects keep it.
_ORDERS = ("bgr_to_rgb", "rgb_to_bgr", "to_rgb")
_KEPT_AS = ("_channel_conversion", "to_rgb")


def warn_of_other_norm(model: nn.Module, checkpoint: Mapping[str, Any], where: str, config: object) -> None:
    """Warn if a checkpoint's config has another mean, std or order of colours than the model that takes its weights.

    Both may be meant, so that it is no error: but labels are seldom right with it.

    Args:
        model: The model, whose ``data_preprocessor`` is looked at.
        checkpoint: What the file holds beside the weights, ``meta`` with the config among it.
        where: The file.
        config: Where the model is described.
    """
    meta = checkpoint.get("meta")
    try:
        told = parse_config_text(meta["cfg"]) if isinstance(meta, Mapping) and "cfg" in meta else {}
    except ConfigTextError:  # It says nothing that can be compared.
        return
    around = told.get("model")
    # Beside the model it is what a base has set before a config put another into the model, or where that has none.
    found = (around.get("data_preprocessor") if isinstance(around, Mapping) else None) or told.get("data_preprocessor")
    own = next((m for name, m in model.named_modules() if name.rpartition(".")[2] == "data_preprocessor"), None)
    if not isinstance(found, Mapping) or own is None:
        return
    if differences := "; ".join(_differences(found, own)):
        logger.warning(
            "%s was trained with pictures normalised otherwise than %s does it: %s. Take the config that it was "
            "trained with, unless this is meant.",
            where,
            config or "the config",
            differences,
        )


def _differences(told: Mapping[str, Any], own: nn.Module) -> Iterator[str]:
    for name in ("mean", "std"):
        now, before = getattr(own, name, None), told.get(name)
        if not isinstance(before, (list, tuple, type(None))) or not all(map(_is_number, before or ())):
            continue  # Of another class, which may mean anything.
        values = now.flatten().tolist() if isinstance(now, Tensor) else None
        if not _are_same(before, values):
            yield f"data_preprocessor.{name} was {short(before)} and is {values}"
    turned = any(bool(told.get(name)) for name in _ORDERS)
    kept = [bool(getattr(own, name)) for name in _KEPT_AS if hasattr(own, name)]
    if kept and turned != kept[0]:
        yield f"the order of colours was {'' if turned else 'not '}turned round and is {'not ' if turned else ''}now"


def _are_same(before: Any, now: list[float] | None) -> bool:
    if before is None or now is None:
        return before is now
    return len(before) == len(now) and all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(before, now, strict=True))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
