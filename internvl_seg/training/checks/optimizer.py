"""Optimizers that cannot train here."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS

from ..config import walk
from .contradiction import Contradiction, listed, option, type_name

# By what they need; MMEngine calls an optimizer's step without anything.
_REFUSED = {
    "LBFGS": "needs a closure that computes the loss anew",
    "SparseAdam": "needs gradients that are sparse, and those of a ViT are not",
}
_INSTEAD = "AdamW"
_KEY, _LAYER_DECAY = "optim_wrapper.constructor", "LayerDecayOptimWrapperConstructor"
# Constructors of MMSegmentation, and the encoders that they are for.
_OF_OTHERS = ("LearningRateDecayOptimizerConstructor", "LayerDecayOptimizerConstructor")
_OTHERS = ("ConvNeXt", "BEiT", "MAE")


def check_optimizer(config: Config) -> Iterator[Contradiction]:
    """Find optimizers that are missing, or cannot make a step, and schedules that MMEngine steps otherwise.

    Args:
        config: The config.
    """
    wrapper = config.get("optim_wrapper") or {}
    if wrapper.get("optimizer") is None and wrapper.get("constructor") is None:
        yield Contradiction(
            "optim_wrapper.optimizer",
            "is missing: nothing would change the weights.",
            "Add it: optimizer=dict(type='AdamW', lr=0.0001).",
        )
    yield from _check_constructor(config, wrapper.get("constructor"))
    scaling = config.get("auto_scale_lr") or {}
    if scaling.get("enable") and scaling.get("base_batch_size") is None:
        yield Contradiction(
            "auto_scale_lr.base_batch_size",
            "is missing, but enable = True.",
            f"Set {option('auto_scale_lr.base_batch_size', 16)}, the batch that the learning rate is for.",
        )
    for key, node in walk(wrapper, "optim_wrapper"):
        kind = type_name(node)
        if key.endswith(".optimizer") and isinstance(node.get("type"), str) and OPTIMIZERS.get(node["type"]) is None:
            near = get_close_matches(kind, OPTIMIZERS.module_dict, 1) or [_INSTEAD]
            yield Contradiction(
                f"{key}.type", f"= {kind!r} is not registered.", f"Set {option(f'{key}.type', near[0])}, for example."
            )
        if key.endswith(".optimizer") and kind in _REFUSED:
            yield Contradiction(
                f"{key}.type",
                f"= {kind!r}: it {_REFUSED[kind]}.",
                f"Take another one, such as {option(f'{key}.type', _INSTEAD)}.",
            )
    for key, node in listed(config, "param_scheduler"):
        if type_name(node).startswith("ReduceOnPlateau") and not node.get("by_epoch", True):
            yield Contradiction(
                f"{key}.by_epoch",
                "= False, but such a schedule steps after a validation, not after an iteration.",
                f"Set {option(f'{key}.by_epoch', True)}; its patience counts validations.",
            )


def _check_constructor(config: Config, kind: Any) -> Iterator[Contradiction]:
    """Find a constructor that is not registered, or knows no layers of the encoder."""
    if not isinstance(kind, str) or not kind:
        return
    known = OPTIM_WRAPPER_CONSTRUCTORS.get(kind)
    backbone = type_name((config.get("model") or {}).get("backbone") or {})
    if known is None and "." not in kind:
        names = [*OPTIM_WRAPPER_CONSTRUCTORS.module_dict, *OPTIM_WRAPPER_CONSTRUCTORS.parent.module_dict]
        near = get_close_matches(kind, names, 1) or ["DefaultOptimWrapperConstructor"]
        yield Contradiction(_KEY, f"= {kind!r} is not registered.", f"Set {option(_KEY, near[0])}, for example.")
    elif kind.rpartition(".")[2] in _OF_OTHERS and not any(name in backbone for name in _OTHERS):
        yield Contradiction(
            _KEY,
            f"= {kind!r} knows the layers of {', '.join(_OTHERS)}, not of {backbone}.",
            f"Set {option(_KEY, _LAYER_DECAY)}, and optim_wrapper.paramwise_cfg to dict(layer_decay_rate=...).",
        )
