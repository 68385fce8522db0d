"""Whether the parts of a config are the dicts and lists that are read there."""

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODEL_WRAPPERS

from ..sharding import WRAPPER
from .contradiction import Contradiction, option, type_name

_ONE, _MANY = "a dict", "a list of dicts"
# Which of the two each part is.
_PARTS = {
    **dict.fromkeys(("model", "model.backbone", "model.neck", "model.data_preprocessor", "data_preprocessor"), (_ONE,)),
    **dict.fromkeys(("model.train_cfg", "model.test_cfg"), (_ONE,)),
    **dict.fromkeys(("model.decode_head", "model.auxiliary_head"), (_ONE, _MANY)),
    **dict.fromkeys(("train_dataloader", "val_dataloader", "test_dataloader", "train_cfg", "val_cfg"), (_ONE,)),
    **{
        f"{loader}_dataloader.{part}": (_ONE,)
        for loader in ("train", "val", "test")
        for part in ("dataset", "sampler", "batch_sampler")
    },
    **dict.fromkeys(("test_cfg", "optim_wrapper", "optim_wrapper.optimizer", "optim_wrapper.clip_grad"), (_ONE,)),
    **dict.fromkeys(("optim_wrapper.paramwise_cfg", "optim_wrapper.paramwise_cfg.custom_keys"), (_ONE,)),
    **dict.fromkeys(("default_hooks", "env_cfg", "env_cfg.mp_cfg", "env_cfg.dist_cfg", "log_processor"), (_ONE,)),
    **dict.fromkeys(("visualizer", "randomness", "tta_model", "auto_scale_lr", "model_wrapper_cfg"), (_ONE,)),
    "custom_hooks": (_MANY,),
    **dict.fromkeys(("val_evaluator", "test_evaluator", "param_scheduler", "tta_pipeline"), (_ONE, _MANY)),
    **{f"{loader}_dataloader.dataset.pipeline": (_MANY,) for loader in ("train", "val", "test")},
}
# Those that say of which class they are; the others have one alone, or a default.
_TYPED = (
    *(
        "optim_wrapper.optimizer",
        "model",
        "model.backbone",
        "model.neck",
        "model.decode_head",
        "model.auxiliary_head",
    ),
    *(f"{loader}_dataloader.{part}" for loader in ("train", "val", "test") for part in ("dataset", "sampler")),
    *(f"{loader}_dataloader.dataset.pipeline" for loader in ("train", "val", "test")),
    *("val_evaluator", "test_evaluator", "custom_hooks", "tta_pipeline", "tta_model", "visualizer", "param_scheduler"),
)
# All fields of dicts of which MMEngine leaves others unread, or fails on them without naming the key.
_KNOWN = {
    "env_cfg": ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"),
    "env_cfg.mp_cfg": ("mp_start_method", "opencv_num_threads"),
    "randomness": ("seed", "deterministic", "diff_rank_seed"),
    "auto_scale_lr": ("enable", "base_batch_size"),
    "log_processor": (
        *("type", "window_size", "by_epoch", "custom_cfg", "num_digits", "log_with_hierarchy", "mean_pattern"),
    ),
    "optim_wrapper.clip_grad": ("type", "max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value"),
    # Of another constructor they are others.
    "optim_wrapper.paramwise_cfg": (
        *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult"),
        *("dwconv_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate"),
    ),
}
_BOOLS = ("resume", "auto_scale_schedule", "find_unused_parameters")
_CHOICES = {
    "env_cfg.mp_cfg.mp_start_method": ("fork", "spawn", "forkserver"),
    "log_level": ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET"),
}
_TEXTS = ("load_from", "work_dir", "experiment_name", "default_scope")


def check_shape(config: Config) -> Iterator[Contradiction]:
    """Find parts that are no dicts or lists where such are read, that have no type, or fields that nothing reads.

    Args:
        config: The config.
    """
    for key, kinds in _PARTS.items():
        value = _at(config, key)
        if value is not None:
            yield from _check_part(key, value, kinds)
    yield from _check_default_hooks(config)
    yield from _check_compile(config.get("compile"))
    yield from _check_wrapper(config.get("model_wrapper_cfg"))
    for key, choices in _CHOICES.items():
        if (value := _at(config, key)) is not None and value not in choices:
            near = get_close_matches(str(value), choices, 1) or choices[:1]
            yield Contradiction(
                key, f"= {value!r}: expected one of {', '.join(choices)}.", f"Set {option(key, near[0])}."
            )
    for key in _TEXTS:
        if not isinstance(config.get(key), (str, type(None))):
            yield Contradiction(key, f"= {config.get(key)!r}: expected text.", "Write it in quotes, or leave it out.")
    for key in _BOOLS:
        if not isinstance(config.get(key, False), bool):
            yield Contradiction(
                key, f"= {config.get(key)!r}: expected True or False.", f"Set {option(key, False)}, for example."
            )
    for key, known in _KNOWN.items():
        node = _at(config, key)
        if key == "optim_wrapper.paramwise_cfg" and _at(config, "optim_wrapper.constructor") is not None:
            continue
        for name in node if isinstance(node, Mapping) else ():
            if name not in known and not name.startswith("_"):
                near = get_close_matches(name, known, 1)
                yield Contradiction(
                    f"{key}.{name}",
                    f"is no field of {key}, so nothing reads it; there are {', '.join(known)}.",
                    f"Write {near[0]}." if near else "Leave it out.",
                )


def _at(config: Config, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, (Config, Mapping)):
            return None
        node = node.get(part)
    return node


def _check_part(key: str, value: Any, kinds: tuple[str, ...]) -> Iterator[Contradiction]:
    items = value if isinstance(value, (list, tuple)) else [value]
    if key == "param_scheduler" and isinstance(value, Mapping) and "type" not in value:
        parts = list(value.values())  # Those of several optimizers.
        if parts and all(isinstance(part, (Mapping, list, tuple)) for part in parts):
            return
    right = isinstance(value, Mapping) and _ONE in kinds
    if isinstance(value, (list, tuple)) and _MANY in kinds:
        right = all(isinstance(item, (Mapping, Hook)) for item in value)  # A hook may be built already.
    if not right:
        example = {_ONE: "dict(...)", _MANY: "[dict(type=...)]"}[kinds[-1]]
        found = f"{'text' if isinstance(value, str) else type(value).__name__}, {_shown(value)}"
        found = found.replace("ConfigDict", "dict")
        if isinstance(value, (list, tuple)):
            strange = [item for item in value if not isinstance(item, (Mapping, Hook))]
            found = f"a list with {_shown(strange[0])}" if strange and _MANY in kinds else "a list"
        yield Contradiction(key, f"is {found}: expected {' or '.join(kinds)}.", f"Write {key} = {example}.")
    elif key in _TYPED:
        for i, item in enumerate(items):
            kind = item.get("type") if isinstance(item, Mapping) and "metrics" not in item else type
            if not (isinstance(kind, str) or callable(kind)) or kind == "":
                where = f"{key}[{i}]" if isinstance(value, (list, tuple)) else key
                told = "has no type" if kind is None else f"has type = {kind!r}"
                shown = f", {_shown(item)}" if kind is None else ""
                yield Contradiction(
                    where, f"{told}{shown}: it does not say what to build.", "Name a class in it, as type='...'."
                )


def _check_default_hooks(config: Config) -> Iterator[Contradiction]:
    hooks = config.get("default_hooks")
    for name, hook in hooks.items() if isinstance(hooks, Mapping) else ():
        key = f"default_hooks.{name}"
        if hook is not None and not isinstance(hook, (Mapping, Hook)):
            yield Contradiction(
                key, f"is {_shown(hook)}: expected a dict, or None for no such hook.", f"Write {name}=dict(type=...)."
            )
        elif isinstance(hook, Mapping) and not type_name(dict(hook)):
            yield Contradiction(
                key,
                f"has no type, {_shown(hook)}: it does not say what to build.",
                "Name a class in it, as type='...'.",
            )


def _check_compile(value: Any) -> Iterator[Contradiction]:
    known = [name for name in inspect.signature(torch.compile).parameters if name != "model"]
    if not isinstance(value, (bool, Mapping, type(None))):
        yield Contradiction(
            "compile",
            f"= {value!r}: expected True, False or a dict of torch.compile's arguments.",
            f"Set {option('compile', True)}, for example.",
        )
    backend = value.get("backend") if isinstance(value, Mapping) else None
    if isinstance(backend, str):
        backends = torch._dynamo.list_backends(None)
        if backend not in backends:
            near = get_close_matches(backend, backends, 1) or ["inductor"]
            yield Contradiction(
                "compile.backend",
                f"= {backend!r} is none of PyTorch's; there are "
                f"{', '.join(torch._dynamo.list_backends())} and, to debug, more.",
                f"Set {option('compile.backend', near[0])}, for example.",
            )
    for name in value if isinstance(value, Mapping) else ():
        if name not in known:
            yield Contradiction(
                f"compile.{name}", f"is no argument of torch.compile, which has {', '.join(known)}.", "Leave it out."
            )


def _check_wrapper(value: Any) -> Iterator[Contradiction]:
    """Find a wrapper that is not there; one process builds none, and would not notice."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    if isinstance(kind, str) and kind != WRAPPER and MODEL_WRAPPERS.get(kind) is None:
        known = (WRAPPER, *MODEL_WRAPPERS.module_dict)
        near = get_close_matches(kind, known, 1) or known[:1]
        yield Contradiction(
            "model_wrapper_cfg.type",
            f"= {kind!r} is not registered; there are {', '.join(known)}.",
            f"Set {option('model_wrapper_cfg.type', near[0])}, for example.",
        )


def _shown(value: Any) -> str:
    text = repr(value.to_dict() if hasattr(value, "to_dict") else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
