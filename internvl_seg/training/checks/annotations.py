"""Fields that are text where the class which they are given to takes numbers, or True and False, as it annotates."""

import ast
import inspect
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS, LOOPS, METRICS, OPTIMIZERS, PARAM_SCHEDULERS, Registry
from mmseg.registry import MODELS, TRANSFORMS

from ..config import is_segmentation, walk
from .contradiction import Contradiction, found_value, option, type_name
from .pipeline import STEPS

# Where what of a config is registered; a test reads the model and its own loader, loop and evaluator alone.
_REGISTRIES: dict[str, Registry] = {
    "model": MODELS,
    "data_preprocessor": MODELS,
    **{f"{loop}_dataloader": TRANSFORMS for loop in ("train", "val", "test")},
    **dict.fromkeys(("val_evaluator", "test_evaluator"), METRICS),
    **dict.fromkeys(("train_cfg", "val_cfg", "test_cfg"), LOOPS),
    **dict.fromkeys(("custom_hooks", "default_hooks"), HOOKS),
    "param_scheduler": PARAM_SCHEDULERS,
    "optim_wrapper": OPTIMIZERS,
}
_OF_TESTS = ("model", "data_preprocessor", "test_dataloader", "test_evaluator", "test_cfg")
_OWN = "internvl_seg"
_WORDS = {bool: "True or False", int: "a whole number", float: "a number"}
_TEXTS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NONE = type(None)


def check_annotations(config: Config, action: str) -> Iterator[Contradiction]:
    """Find fields of another kind than the annotations of the constructor that takes them.

    Of libraries only text is refused, where no annotation allows any: what else they take is not always annotated. Of
    this package's own classes all that is annotated as a plain kind has to be of it.

    Args:
        config: A config whose parts are dicts and lists where they have to be.
        action: 'train' or 'test', which is to be done with it.
    """
    for part, registry in _REGISTRIES.items():
        if action == "test" and part not in _OF_TESTS:
            continue
        if not is_segmentation(config):  # Another library's class may have the name of one of MMSegmentation's.
            registry = registry.parent or registry
        for key, node in walk(config.get(part), part):
            kind = node.get("type")
            kind = registry.get(kind) if isinstance(kind, str) and kind else kind
            if inspect.isclass(kind):
                told = STEPS.get(type_name(node), {}) if registry is TRANSFORMS else {}  # Their kinds say more.
                yield from _check_node(key, {name: node[name] for name in node if name not in told}, kind)


def _check_node(key: str, node: dict[str, Any], kind: type) -> Iterator[Contradiction]:
    annotations = _annotations(kind)
    if issubclass(kind, EMAHook):  # It hands the rest on to the average that it builds.
        average = node.get("ema_type", "ExponentialMovingAverage")
        average = MODELS.get(average) if isinstance(average, str) else average
        annotations |= _annotations(average) if inspect.isclass(average) else {}
    for name, (hint, default) in annotations.items():
        if name not in node:
            continue
        value, allowed = node[name], _parts(hint)
        plain = [part for part in (bool, int, float) if part in allowed]
        if isinstance(value, str):
            wrong = bool(allowed) and all(map(_is_no_text, allowed))
        else:
            wrong = kind.__module__.partition(".")[0] == _OWN and not _fits(value, allowed)
        if not wrong:
            continue
        lists = [part for part in allowed if typing.get_origin(part) is not None]
        words = [_WORDS[part] for part in plain if not (part is int and float in plain)]
        whole = any(typing.get_args(part) == (int,) for part in lists)
        words += ["a list of such" if words else f"a list of {'whole ' * whole}numbers"] if lists else []
        words += ["None"] if _NONE in allowed else []
        mended = meant(value, plain, bool(lists), default)
        mend = f"Give {words[0]}." if mended is None else f"Set {option(f'{key}.{name}', mended)}, for example."
        yield Contradiction(f"{key}.{name}", f"{found_value(value)}: expected {', or '.join(words)}.", mend)


def _annotations(kind: type) -> dict[str, tuple[Any, Any]]:
    """The annotations and defaults of what a class is built with, and what it hands on to those it extends."""
    found: dict[str, tuple[Any, Any]] = {}
    for base in kind.__mro__:
        init = base.__dict__.get("__init__")
        if not inspect.isfunction(init):
            continue
        try:
            hints = typing.get_type_hints(init)
        except Exception:  # Of names that are there for type checkers only.
            hints = {}
        parameters = inspect.signature(init).parameters
        for name, parameter in parameters.items():
            if name in hints and name not in found and parameter.kind is not parameter.VAR_KEYWORD:
                found[name] = (hints[name], parameter.default)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return found


def _parts(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [part for inner in typing.get_args(hint) for part in _parts(inner)]
    return [hint]


def _is_no_text(hint: Any) -> bool:
    if hint in (bool, int, float, _NONE, torch.Tensor):
        return True
    origin, inner = typing.get_origin(hint), [part for arg in typing.get_args(hint) for part in _parts(arg)]
    listing = inspect.isclass(origin) and issubclass(origin, typing.Iterable) and not issubclass(origin, typing.Mapping)
    return listing and bool(inner) and all(part is ... or _is_no_text(part) for part in inner)


def _fits(value: Any, allowed: list[Any]) -> bool:
    """Whether a value that is no text is of one of some kinds, as far as these are plain."""
    if not all(part in (bool, int, float, _NONE) or typing.get_args(part) == (int,) for part in allowed):
        return True
    if isinstance(value, bool):
        return bool in allowed
    if value is None:
        return _NONE in allowed
    if isinstance(value, (list, tuple)):
        return all(type(item) is int for item in value) and any(typing.get_args(part) for part in allowed)
    return (int in allowed and type(value) is int) or (float in allowed and type(value) in (int, float))


def meant(value: Any, plain: Sequence[type], lists: bool, default: Any) -> Any:
    """What a value was meant to be.

    Args:
        value: The value that was found.
        plain: The kinds of which one is expected, of bool, int and float.
        lists: Whether it may be a list.
        default: The class's default.

    Returns:
        What its text reads as, or the default; None if neither can be told.
    """
    if isinstance(value, str):
        read: Any = _TEXTS.get(value.strip().lower())
        if read is None:
            try:
                read = ast.literal_eval(value.strip())
            except (ValueError, SyntaxError):
                read = None
        if type(read) in plain or (float in plain and type(read) is int) or (lists and isinstance(read, (list, tuple))):
            return read
    elif lists and type(value) is int:
        return [value]
    usable = default is not inspect.Parameter.empty and isinstance(default, (bool, int, float, tuple))
    return default if usable else None
