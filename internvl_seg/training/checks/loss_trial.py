"""Losses tried on made-up logits: what fails or learns nothing there does so in a training, too."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import Tensor

from .contradiction import Contradiction, option, type_name
from .heads import outputs

# Heads that give their losses something else than logits and class ids.
_OTHER_TARGETS = ("STDCHead",)
# Packages whose heads call a loss as MMSegmentation's do; what others do is not known.
_KNOWN = ("mmseg", "internvl_seg")
_SIZE = 8


def try_loss(key: str, loss: dict[str, Any], head: dict[str, Any]) -> Iterator[Contradiction]:
    """Compute a loss of a small batch as its head does, and find whether it can train.

    Args:
        key: Of the loss.
        loss: Its config.
        head: Its head's.
    """
    count = outputs(head)
    if count is None or type_name(head) in _OTHER_TARGETS or not _is_known(head):
        return
    scope = DefaultScope.overwrite_default_scope("mmseg")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), scope:
        warnings.simplefilter("ignore")
        try:
            module = MODELS.build(dict(loss))
        except Exception:
            return  # What cannot be built is told with its key when the model is.
        if not isinstance(getattr(module, "loss_name", None), str):
            yield Contradiction(
                f"{key}.type",
                f"= {type_name(loss)!r}: it has no loss_name, under which MMSegmentation's heads gather their losses.",
                f"Take one of MMSegmentation's, such as {option(f'{key}.type', 'CrossEntropyLoss')}.",
            )
            return
        yield from _tried(key, loss, head, module, count)


def _is_known(head: dict[str, Any]) -> bool:
    registered = MODELS.get(type_name(head))
    return registered is not None and registered.__module__.partition(".")[0] in _KNOWN


def _tried(key: str, loss: dict[str, Any], head: dict[str, Any], module: Any, count: int) -> Iterator[Contradiction]:
    ignored = head.get("ignore_index", 255)
    logits = torch.randn(2, count, _SIZE, _SIZE, generator=torch.Generator().manual_seed(0))
    every = torch.arange(2 * _SIZE * _SIZE).reshape(2, _SIZE, _SIZE) % max(count, 2)
    one = torch.zeros_like(every)
    batches = {"any batch": (logits, every), "a batch of one class": (logits, one), "high logits": (60 * logits, every)}
    if ignored is not None and 0 <= ignored <= 255:  # Others are in no mask.
        every[:, 0] = one[:, 0] = ignored
        batches["a batch without a labelled pixel"] = (logits, torch.full_like(every, ignored))
    name = type_name(loss)
    for number, (batch, (values, labels)) in enumerate(batches.items()):
        given = values.clone().requires_grad_()
        weight = torch.ones(labels.shape) if head.get("sampler") else None
        try:
            total = module(given, labels, weight=weight, ignore_index=ignored).mean()
            total.backward()
        except Exception as error:
            text = str(error).strip().splitlines() or ["no message"]
            yield Contradiction(
                key,
                f"({name}) fails on logits of {count} output{'s' * (count != 1)} and class ids, {batch}: "
                f"{type(error).__name__}: {text[0]}.",
                f"Look at its fields: {_fields(loss)}.",
            )
            return
        if not math.isfinite(float(total)) or not bool(torch.isfinite(_gradient(given)).all()):
            yield Contradiction(
                key, f"({name}) is NaN or infinite on {batch}.", f"Look at its fields: {_fields(loss)}."
            )
            return
        if number == 0 and not bool(_gradient(given).any()):
            yield Contradiction(
                key, f"({name}) has no gradient: it trains nothing.", f"Look at its fields: {_fields(loss)}."
            )
            return


def _gradient(logits: Tensor) -> Tensor:
    return logits.grad if logits.grad is not None else torch.zeros_like(logits)


def _fields(loss: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in loss.items() if name != "type") or "they are the defaults"
