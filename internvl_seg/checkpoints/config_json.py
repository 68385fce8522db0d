"""``config.json`` beside weights, as transformers writes it: every key that changes what an encoder computes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import NotACheckpointError, WrongConfigError
from .told import KINDS, Told, UnfitValueError, flag, read_value

# A released one has some thousand bytes.
_MOST = 4 << 20
# How the remote code and transformers' own call what an encoder is made of.
_NAMES = {
    "hidden_size": "embed_dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "num_heads",
    "intermediate_size": "hidden",
    "num_channels": "in_chans",
    "patch_size": "patch_size",
    "image_size": "img_size",
    "norm_type": "norm",
    "layer_norm_eps": "norm_eps",
    "qkv_bias": "qkv_bias",
    "attention_bias": "qkv_bias",
    "qk_normalization": "qk_norm",
    "use_qk_norm": "qk_norm",
}


def _exact_gelu(value: object) -> None:
    if value not in ("gelu", "gelu_python"):
        raise UnfitValueError("'gelu': an InternViT computes the exact GELU and no other activation")


def _position_embedding(value: object) -> None:
    if not flag(value):
        raise UnfitValueError("true: an InternViT has a position embedding")


def _no_pruning(value: object) -> None:
    if value not in ({}, [], None):
        raise UnfitValueError("no pruned heads: an InternViT has all of them in every block")


# What has one value that an InternViT can have. Dropout, first values and the like change no encoder that is used.
_ONLY: dict[str, Callable[[object], object]] = {
    "hidden_act": _exact_gelu,
    # False adds a norm after the last block, which is left out as any file's is.
    "use_mean_pooling": flag,
    "use_absolute_position_embeddings": _position_embedding,
    "pruned_heads": _no_pruning,
}


def read_config_json(path: Path | None) -> dict[str, Any]:
    """The vision part of a ``config.json``; empty if there is none.

    Args:
        path: Where it would be.

    Raises:
        NotACheckpointError: It is no JSON.
        WrongConfigError: It is JSON of something else.
    """
    if path is None or not path.is_file():
        return {}
    if path.stat().st_size > _MOST:
        raise WrongConfigError(f"{path} has {path.stat().st_size:,} bytes, more than any config of a model.")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise NotACheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise WrongConfigError(f"{path} holds {_kind(config)}, expected a JSON object of a model's settings.")
    vision = config.get("vision_config", config)
    if not isinstance(vision, dict):
        raise WrongConfigError(f"{path} says vision_config = {_kind(vision)}, expected an object. Correct it there.")
    return vision


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def read_told(config: dict[str, Any], weights: str) -> Told | None:
    """What a ``config.json`` says of an encoder.

    Args:
        config: Of :func:`read_config_json`.
        weights: Beside which it is, for errors.

    Raises:
        WrongConfigError: A value is of another type, or of a model that is no InternViT.
    """
    if not config:
        return None
    where = f"config.json beside {weights}"
    told = Told(where, {}, {})
    for key, name in _NAMES.items():
        if key not in config:
            continue
        value = read_value(KINDS[name], config[key], where, key)
        if told.values.get(name, value) != value:
            raise WrongConfigError(f"{told.quote(name)}, but {key} = {value!r}. Correct it there.")
        told.keys[name], told.values[name] = key, value
    for key, only in _ONLY.items():
        if key in config:
            read_value(only, config[key], where, key, remedy="")
    return told
