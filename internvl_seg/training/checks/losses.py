"""Losses: whether they are of class ids, and whether their fields fit the head."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.fileio import load

from .contradiction import Contradiction, option, type_name
from .fields import check_own_fields
from .heads import heads, is_refused, outputs
from .loss_trial import try_loss

# Losses of MMSegmentation that are not of logits and class ids, by what they are of.
REFUSED = {
    "BoundaryLoss": "is of the boundaries that PIDHead predicts",
    "SiLogLoss": "is of depth",
    "KLDivLoss": "is of two maps of logits",
}
# Those that compare one output with class 1; the others take a softmax over outputs, which of a single one is 1.
_BINARY = ("DiceLoss", "FocalLoss")
# Those that weigh classes.
_WEIGHTED = (
    "CrossEntropyLoss",
    "FocalLoss",
    "LovaszLoss",
    "OhemCrossEntropy",
    "TverskyLoss",
    "HuasdorffDisstanceLoss",
)
# Those that give a loss of every pixel, by which OHEMPixelSampler chooses where it has no threshold; and those that
# take its weights.
_BY_PIXEL = ("CrossEntropyLoss",)
_SAMPLED = ("CrossEntropyLoss", "FocalLoss", "DiceLoss", "TverskyLoss")
_INSTEAD = "Take CrossEntropyLoss, DiceLoss, FocalLoss, TverskyLoss or LovaszLoss."


def losses(config: Config) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The losses of all heads: key, loss and head."""
    for key, head in heads(config):
        if is_refused(head):
            continue
        found = head.get("loss_decode", {"type": "CrossEntropyLoss"})
        if isinstance(found, dict):
            yield f"{key}.loss_decode", found, head
        elif isinstance(found, (list, tuple)):
            yield from (
                (f"{key}.loss_decode[{i}]", loss, head) for i, loss in enumerate(found) if isinstance(loss, dict)
            )


def check_losses(config: Config) -> Iterator[Contradiction]:
    """Find losses that cannot train a head, or fields of theirs that contradict it.

    Args:
        config: The config.
    """
    yield from _check_lists(config)
    for key, loss, head in losses(config):
        kind = type_name(loss)
        if kind in REFUSED:
            yield Contradiction(f"{key}.type", f"= {kind!r}: it {REFUSED[kind]}, not of class ids.", _INSTEAD)
            continue
        found = [
            *check_own_fields(key, loss),
            *_check_fields(key, loss, head),
            *_check_one_output(key, loss, head),
            *_check_weights(key, loss, head),
            *_check_sampler(key, loss, head),
        ]
        yield from found or try_loss(key, loss, head)


def _check_lists(config: Config) -> Iterator[Contradiction]:
    for key, head in heads(config):
        found = head.get("loss_decode", {})
        if not isinstance(found, (dict, list, tuple)) or (not isinstance(found, dict) and not found):
            yield Contradiction(
                f"{key}.loss_decode",
                f"= {found!r}: nothing trains this head; expected a dict, or a list of dicts.",
                f"Write loss_decode=dict(type='CrossEntropyLoss') in {key}.",
            )
        for i, loss in enumerate(found if isinstance(found, (list, tuple)) else [found]):
            if isinstance(found, (dict, list, tuple)) and found and not (isinstance(loss, dict) and loss.get("type")):
                where = f"{key}.loss_decode" if isinstance(found, dict) else f"{key}.loss_decode[{i}]"
                yield Contradiction(
                    where,
                    f"= {loss!r}: it does not say what to build; expected a dict with a type.",
                    f"Write dict(type={loss!r}) in its place." if isinstance(loss, str) else "Add type='...'.",
                )


def _check_fields(key: str, loss: dict[str, Any], head: dict[str, Any]) -> Iterator[Contradiction]:
    kind, name = type_name(loss), loss.get("loss_name")
    if name is not None and (not isinstance(name, str) or "loss" not in name):
        yield Contradiction(
            f"{key}.loss_name",
            f"= {name!r}: MMEngine trains by what has 'loss' in its name; this one would only be printed.",
            f"Set {option(f'{key}.loss_name', f'loss_{name}')}.",
        )
    if loss.get("use_mask"):
        yield Contradiction(
            f"{key}.use_mask",
            "= True is for the masks of instances, not for class ids.",
            f"Set {option(f'{key}.use_mask', False)}, and use_sigmoid=True for a sigmoid of each class.",
        )
    if kind == "FocalLoss" and not loss.get("use_sigmoid", True):
        yield Contradiction(
            f"{key}.use_sigmoid",
            "= False, but FocalLoss is of sigmoids.",
            f"Set {option(f'{key}.use_sigmoid', True)}.",
        )
    if kind == "DiceLoss" and not loss.get("activate", True):
        yield Contradiction(
            f"{key}.activate",
            "= False, but a head gives logits, not probabilities.",
            f"Set {option(f'{key}.activate', True)}.",
        )
    if kind == "LovaszLoss" and not loss.get("per_image") and loss.get("reduction", "mean") != "none":
        yield Contradiction(
            f"{key}.reduction",
            f"= {loss.get('reduction', 'mean')!r}, but the loss is of the whole batch, one number.",
            f"Set {option(f'{key}.reduction', 'none')}, or per_image=True.",
        )
    alpha, beta = loss.get("alpha", 0.3), loss.get("beta", 0.7)
    if kind == "TverskyLoss" and _is_weight(alpha) and _is_weight(beta) and not math.isclose(alpha + beta, 1):
        yield Contradiction(
            f"{key}.beta",
            f"= {beta}, but alpha = {alpha}, and their sum is 1.",
            f"Set {option(f'{key}.beta', 1 - alpha)}.",
        )
    ignored, where = head.get("ignore_index", 255), key.partition(".loss_decode")[0] + ".ignore_index"
    if ignored is None:
        yield Contradiction(where, "= None: its loss would take every label for a class.", f"Set {option(where, 255)}.")
    elif loss.get("ignore_label", ignored) != ignored:
        yield Contradiction(
            f"{key}.ignore_label",
            f"= {loss['ignore_label']}, but {where} = {ignored}, which is what counts.",
            f"Set {option(f'{key}.ignore_label', ignored)}.",
        )


def _is_binary(loss: dict[str, Any]) -> bool:
    """Whether a loss is right for a head with one output."""
    kind = type_name(loss)
    if kind == "CrossEntropyLoss":
        return bool(loss.get("use_sigmoid"))
    return kind in _BINARY or (kind == "LovaszLoss" and loss.get("loss_type") == "binary")


def _check_one_output(key: str, loss: dict[str, Any], head: dict[str, Any]) -> Iterator[Contradiction]:
    kind, count = type_name(loss), outputs(head)
    if count is None or kind not in (*_WEIGHTED, *_BINARY):
        return
    where = key.partition(".loss_decode")[0]
    if count == 1 and not _is_binary(loss):
        field = {"CrossEntropyLoss": ("use_sigmoid", True), "LovaszLoss": ("loss_type", "binary")}.get(kind)
        mend = f"Set {option(f'{key}.{field[0]}', field[1])}" if field else f"Set {option(f'{key}.type', 'DiceLoss')}"
        yield Contradiction(
            f"{where}.out_channels",
            f"= 1, but {key} ({kind}) takes a softmax over outputs, which of a single one is always 1.",
            f"{mend}, or {option(f'{where}.out_channels', None)} for an output of each class.",
        )
    elif count > 1 and kind == "LovaszLoss" and loss.get("loss_type") == "binary":
        yield Contradiction(
            f"{key}.loss_type",
            f"= 'binary', but {where} has {count} outputs.",
            f"Set {option(f'{key}.loss_type', 'multi_class')}, or out_channels=1.",
        )


def _read_weights(weights: Any) -> Any:
    """Class weights, which may stand in a file.

    Raises:
        ValueError: The file cannot be read; the message says why.
    """
    if not isinstance(weights, str):
        return weights
    if weights.endswith((".pkl", ".pickle")):
        raise ValueError("a pickle may hold code, and is not read; save the numbers as .json or .npy")
    if not Path(weights).is_file():
        raise ValueError(f"there is no such file (looked from {Path.cwd()})")
    try:
        return np.load(weights).tolist() if weights.endswith(".npy") else load(weights)
    except Exception as error:
        raise ValueError(f"it cannot be read: {error}") from error


def _check_weights(key: str, loss: dict[str, Any], head: dict[str, Any]) -> Iterator[Contradiction]:
    kind, count = type_name(loss), outputs(head)
    for name in ("class_weight", "alpha"):
        given = loss.get(name)
        if given is None or kind not in _WEIGHTED or (name == "alpha" and not isinstance(given, (list, tuple))):
            continue
        try:
            values = _read_weights(given)
        except ValueError as error:
            yield Contradiction(f"{key}.{name}", f"= {given!r}: {error}.", "Name a .json or .npy file of numbers.")
            continue
        yield from _check_values(f"{key}.{name}", given, values, count, head)


def _check_values(
    key: str, given: Any, values: Any, count: int | None, head: dict[str, Any]
) -> Iterator[Contradiction]:
    told = f"= {given!r}"
    if not isinstance(values, Sequence) or isinstance(values, str) or not all(_is_weight(v) for v in values):
        found = "" if values is given else f" holds {str(values)[:60]}"
        yield Contradiction(key, f"{told}{found}: expected a list of numbers, 0 or above.", "Give one number a class.")
    elif count is not None and len(values) != count:
        where = key.partition(".loss_decode")[0]
        one = " (out_channels)" if head.get("out_channels") == 1 else ""
        fitting = [*values, *[1.0] * count][:count]
        yield Contradiction(
            key,
            f"{told} {'is' if values is given else 'holds'} {len(values)} number{'s' * (len(values) != 1)}, but "
            f"{where} has {count} output{'s' * (count > 1)}{one}.",
            f"Give one number an output, such as {option(key, fitting)}.",
        )
    elif not any(values):
        yield Contradiction(key, f"{told}: no class weighs anything.", "Give one number above 0 at least.")


def _is_weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _check_sampler(key: str, loss: dict[str, Any], head: dict[str, Any]) -> Iterator[Contradiction]:
    sampler, kind = head.get("sampler"), type_name(loss)
    if not isinstance(sampler, dict) or type_name(sampler) != "OHEMPixelSampler":
        return
    where = key.partition(".loss_decode")[0] + ".sampler"
    if kind not in _SAMPLED and kind in (*_WEIGHTED, *_BINARY):
        yield Contradiction(
            where,
            f"= 'OHEMPixelSampler' weighs pixels, but {key} ({kind}) has no loss of single pixels.",
            f"Set {option(where, None)}, or take CrossEntropyLoss.",
        )
    elif sampler.get("thresh") is None and (kind not in _BY_PIXEL or loss.get("use_sigmoid")) and kind in _SAMPLED:
        yield Contradiction(
            f"{where}.thresh",
            f"is missing: without it pixels are chosen by their loss, but {key} ({kind}) gives no number a pixel.",
            f"Set {option(f'{where}.thresh', 0.7)}, or take CrossEntropyLoss with use_sigmoid=False.",
        )
    elif sampler.get("thresh") is not None and outputs(head) == 1:
        yield Contradiction(
            f"{where}.thresh",
            f"= {sampler['thresh']} is of a softmax over outputs, and there is one.",
            f"Set {option(where, None)}.",
        )
