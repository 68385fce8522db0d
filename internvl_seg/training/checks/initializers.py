"""Initial values of weights, ``init_cfg``: whether they reach any."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ..config import walk
from .contradiction import Contradiction, type_name

# They take a whole model, from a file.
_OF_FILES = ("Pretrained", "PretrainedInit")
_PYTORCH = {*nn.modules.__all__, "_BatchNorm", "_InstanceNorm", "_ConvNd"}


def check_initializers(config: Config) -> Iterator[Contradiction]:
    """Find initial values that are for no layer, which MMEngine then leaves out in silence.

    Args:
        config: The config.
    """
    for key, node in _initializers(config):
        name = type_name(node)
        if isinstance(node.get("type"), str) and WEIGHT_INITIALIZERS.get(name) is None:
            near = get_close_matches(name, WEIGHT_INITIALIZERS.module_dict, 1)
            advice = f"Write {near[0]}." if near else f"There are {', '.join(sorted(WEIGHT_INITIALIZERS.module_dict))}."
            yield Contradiction(f"{key}.type", f"= {name!r} is not registered.", advice)
        elif name not in _OF_FILES and not node.get("layer") and not node.get("override"):
            yield Contradiction(
                key,
                f"(type = {name!r}) has neither layer nor override, so it initialises nothing.",
                "Name the classes of layers that it is for, such as layer='Conv2d'.",
            )


def check_layers(config: Config, model: nn.Module) -> Iterator[Contradiction]:
    """Find initial values that are for layers which a model does not have.

    Args:
        config: The config.
        model: The model that it describes.
    """
    there = {kind.__name__ for module in model.modules() for kind in (type(module), *type(module).__bases__)}
    for key, node in _initializers(config):
        layers = node.get("layer") or []
        layers = [layers] if isinstance(layers, str) else list(layers)
        # One list is often for several kinds of models; PyTorch's own names in it are not misspelt.
        missing = [layer for layer in layers if layer not in there]
        strange = missing if len(missing) == len(layers) else [layer for layer in missing if layer not in _PYTORCH]
        if strange:
            near = get_close_matches(strange[0], there, 1)
            advice = f"Write {near[0]}." if near else "Leave it out."
            yield Contradiction(f"{key}.layer", f"= {strange[0]!r}: the model has no such layer.", advice)


def _initializers(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, node in walk(config.get("model"), "model"):
        found = node.get("init_cfg")
        for i, item in enumerate(found if isinstance(found, (list, tuple)) else [found]):
            if isinstance(item, dict):
                yield f"{key}.init_cfg" + (f"[{i}]" if isinstance(found, (list, tuple)) else ""), item
