"""What to say of a checkpoint whose weights are of other shapes than a model's: which, of which classes, what to do."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .errors import printable

_SHOWN = 3
_NAMED = 12


def describe_shapes(
    model: nn.Module,
    state: Mapping[str, Any],
    names: list[str],
    checkpoint: Mapping[str, Any],
    where: str | os.PathLike[str],
    config: object,
) -> str:
    """A message about weights that do not fit.

    Args:
        model: The model.
        state: The weights by the model's names.
        names: Those that are of other shapes.
        checkpoint: What the file holds, ``meta`` with its classes among it.
        where: The file.
        config: Where the model is described.
    """
    own = dict([*model.named_parameters(), *model.named_buffers()])
    shown = "; ".join(f"{printable(n)} is {_shape(state[n])}, not {_shape(own[n])}" for n in names[:_SHOWN])
    more = f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    classes = _classes(model, own, state, names, checkpoint)
    return (
        f"{where} holds {len(names)} tensor{'s' * (len(names) > 1)} of other shapes than the model that {config} "
        f"describes: {shown}{more}. {classes}{_advice(Path(where), config)}"
    )


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"


def _classes(
    model: nn.Module,
    own: Mapping[str, Tensor],
    state: Mapping[str, Any],
    names: list[str],
    checkpoint: Mapping[str, Any],
) -> str:
    """How many classes each has, if a head's last layer has another number of outputs; else nothing."""
    told = _names(checkpoint)
    heads = sorted(model.named_modules(), key=lambda one: not one[0])  # A model has its head's number, too.
    for head_name, head in heads:
        count = getattr(head, "num_classes", None)
        if not isinstance(count, int) or isinstance(count, bool) or len(told) == count:
            continue
        outputs = getattr(head, "out_channels", count)
        for name in names:
            now, before = tuple(own[name].shape), tuple(state[name].shape)
            if not name.startswith(f"{head_name}." if head_name else "") or now[:1] != (outputs,):
                continue
            if len(before) != len(now) or before[1:] != now[1:]:
                continue
            # As many as it names, if these may be the ones of its outputs: one output tells two classes apart.
            trained = len(told) if told and before[0] in (len(told), 1) else before[0]
            if trained == count:
                continue
            listed = f" ({_list(told)})" if len(told) == trained else ""
            return (
                f"The checkpoint's {head_name or 'head'} tells {trained} class{'es' * (trained != 1)} apart{listed}, "
                f"the config's {count}. "
            )
    return ""


def _names(checkpoint: Mapping[str, Any]) -> list[str]:
    """Names of the classes that a checkpoint was trained on, if it has them."""
    meta = checkpoint.get("meta")
    told = meta.get("dataset_meta") if isinstance(meta, Mapping) else None
    found = told.get("classes") if isinstance(told, Mapping) else None
    return [n for n in found if isinstance(n, str)] if isinstance(found, (list, tuple)) else []


def _list(names: list[str]) -> str:
    """Names of classes in their order."""
    shown = ", ".join(printable(name, 40) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _advice(where: Path, config: object) -> str:
    """Which config to use: the one that is saved beside the checkpoint, by its name if one can tell."""
    advice = "Use the config that it was trained with, which a run saves beside its checkpoints"
    try:
        found = sorted(where.expanduser().parent.glob("*.py"))
        same = [path for path in found if path.stem == where.stem]
        others = [path for path in same or found if not _is_same(path, config)]
    except OSError:
        others = []
    return f"{advice}: {others[0]}." if len(others) == 1 else f"{advice}."


def _is_same(path: Path, config: object) -> bool:
    return isinstance(config, (str, os.PathLike)) and Path(config).exists() and path.samefile(config)
