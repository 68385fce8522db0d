"""What the config of a run, which MMEngine keeps as text in a checkpoint's ``meta``, says of the encoder in it."""

import inspect
from collections.abc import Mapping
from typing import Any

from ..encoder.block import hidden_channels
from ..encoder.intern_vit import InternViT
from ..encoder.releases import find_release_of_name
from .config_text import ConfigTextError, parse_config_text
from .errors import WrongConfigError
from .told import KINDS, Told, height_and_width, read_value, whole

# What the official code (MMSegmentation 0.x) calls its encoder.
_OFFICIAL = "InternViT6B"
_DEFAULTS = {name: inspect.signature(InternViT).parameters[name].default for name in KINDS if name != "hidden"}


def read_told(meta: object, prefix: str, where: str) -> Told | None:
    """What a checkpoint's config says of an encoder in it.

    Args:
        meta: The checkpoint's ``meta``.
        prefix: What stands before the encoder's names, such as ``backbone.``.
        where: The checkpoint, for errors.

    Returns:
        None if there is no config, or it says nothing of an encoder there.

    Raises:
        WrongConfigError: The config cannot be read as data, or a value is of another type.
    """
    if not isinstance(meta, Mapping):
        return None
    parts = prefix.split(".")[:-1]
    if "cfg" in meta:
        node, key = _find(_read_text(meta["cfg"], where), parts)
        return _told_by_own(node, key, f"the config in {where} (meta.cfg)")
    try:
        node, key = _find(parse_config_text(meta["config"]), parts) if "config" in meta else ({}, "")
    except ConfigTextError:  # MMCV kept a file's own text at times, which may be any Python.
        return None
    return _told_by_official(node, key, f"the config in {where} (meta.config)")


def _read_text(config: Any, where: str) -> Any:
    try:
        return config if isinstance(config, Mapping) else parse_config_text(config)
    except ConfigTextError as error:
        why = str(error).rstrip(".")
        raise WrongConfigError(
            f"{where} holds a config (meta.cfg), as MMEngine's checkpoints do, but it cannot be read: {why}. Save the "
            "state_dict without meta, and say num_heads=."
        ) from error


def _find(config: Any, parts: list[str]) -> tuple[dict[str, Any], str]:
    """The part of ``model`` under some names, and its dotted key; empty if there is none."""
    node, key = config, "model"
    for part in ("model", *parts):
        node = node.get(part) if isinstance(node, Mapping) else None
    return (dict(node) if isinstance(node, Mapping) else {}), ".".join((key, *parts))


def _told_by_own(node: dict[str, Any], key: str, where: str) -> Told | None:
    if str(node.get("type", "")).rpartition(".")[2] != "InternViT":
        return None
    arch = node.get("arch")
    release = find_release_of_name(arch) if isinstance(arch, str) else None
    if isinstance(arch, str) and release is None:  # Registered by code that is not here.
        return None
    given: Any = release.arguments() if release is not None else arch
    if not isinstance(given, Mapping):
        raise WrongConfigError(f"{where} says {key}.arch = {arch!r}, expected a name or a dict. Correct it there.")
    values: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        values[name] = read_value(KINDS[name], given.get(name, default), where, f"{key}.arch.{name}")
    keys = {name: f"{key}.arch.{name}" for name in values}
    if node.get("img_size") is not None:
        keys["img_size"] = f"{key}.img_size"
        values["img_size"] = read_value(height_and_width, node["img_size"], where, keys["img_size"])
    # The file has whole channels, which several ratios make.
    values["hidden"], keys["hidden"] = hidden_channels(values["embed_dim"], values.pop("mlp_ratio")), keys["mlp_ratio"]
    return Told(where, keys, values)


def _told_by_official(node: dict[str, Any], key: str, where: str) -> Told | None:
    if str(node.get("type", "")).rpartition(".")[2] != _OFFICIAL or "num_heads" not in node:
        return None
    heads = read_value(whole, node["num_heads"], where, f"{key}.num_heads")
    return Told(where, {"num_heads": f"{key}.num_heads"}, {"num_heads": heads})
