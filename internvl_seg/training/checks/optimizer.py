"""Optimizers that cannot train here."""

from collections.abc import Iterator
from difflib import get_close_matches

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from ..config import walk
from .contradiction import Contradiction, listed, option, type_name

# By what they need; MMEngine calls an optimizer's step without anything.
_REFUSED = {
    "LBFGS": "needs a closure that computes the loss anew",
    "SparseAdam": "needs gradients that are sparse, and those of a ViT are not",
}
_INSTEAD = "AdamW"


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
