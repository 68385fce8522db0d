"""``config.json`` beside weights, as transformers and timm write it: every key that changes what is computed."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..common.kinds import UnfitValueError, flag, short
from ..common.small_files import TooLargeError, read_small
from .config_parts import explain, find_parts
from .errors import NotACheckpointError, WrongConfigError
from .file_kinds import check_text
from .told import KINDS, Told, read_value

# A released one has some thousand bytes.
_MOST = 4 << 20
# Where the vision part of a config of a larger model is.
_VISION = ("vision_config", "vit_config", "vision_tower_config", "vision_tower", "vision_model", "vision", "visual")
# More within one another is no config.
_DEEPEST = 8
# How the remote code, transformers' own and timm call what an encoder is made of.
_NAMES = {
    "hidden_size": "embed_dim",
    "embed_dim": "embed_dim",
    "num_features": "embed_dim",
    "num_hidden_layers": "depth",
    "depth": "depth",
    "num_attention_heads": "num_heads",
    "num_heads": "num_heads",
    "head_dim": "head_dim",
    "head_width": "head_dim",
    "intermediate_size": "hidden",
    "mlp_ratio": "mlp_ratio",
    "num_channels": "in_chans",
    "in_chans": "in_chans",
    "patch_size": "patch_size",
    "image_size": "img_size",
    "img_size": "img_size",
    "norm_type": "norm",
    "layer_norm_eps": "norm_eps",
    "layer_norm_epsilon": "norm_eps",
    "rms_norm_eps": "norm_eps",
    "norm_eps": "norm_eps",
    "qkv_bias": "qkv_bias",
    "attention_bias": "qkv_bias",
    "qk_normalization": "qk_norm",
    "use_qk_norm": "qk_norm",
    "qk_norm": "qk_norm",
    "qk_layernorm": "qk_norm",
}
# What an InternViT has none of.
_ADDED = (
    *("use_relative_position_bias", "use_shared_relative_position_bias", "use_rel_pos", "num_register_tokens"),
    *("scale_attn_by_inverse_layer_idx", "parallel_attention", "parallel_attn", "use_parallel_residual"),
    "apply_residual_connection_post_layernorm",
)
# Classes of transformers with the same blocks.
_SAME_AS_INTERNVIT = ("Dinov2Model", "Dinov2Backbone", "Dinov2ForImageClassification")
# What timm's ``model_args`` may hold besides: it changes no token of an encoder that is not trained.
_UNUSED = (
    *("num_classes", "global_pool", "init_values", "drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate"),
    *("attn_drop_rate", "drop_path_rate", "dynamic_img_size", "dynamic_img_pad", "strict_img_size", "final_norm"),
    *("fc_norm", "weight_init", "fix_init"),
)


def _exact_gelu(value: object) -> None:
    if value not in ("gelu", "gelu_python"):
        raise UnfitValueError("'gelu': an InternViT computes the exact GELU and no other activation")


def _position_embedding(value: object) -> None:
    if not flag(value):
        raise UnfitValueError("true: an InternViT has a position embedding")


def _no_pruning(value: object) -> None:
    if value not in ({}, [], None):
        raise UnfitValueError("no pruned heads: an InternViT has all of them in every block")


def _no_rotation(value: object) -> None:
    if value not in ({}, None, False):
        raise UnfitValueError("none: an InternViT has learned positions, which are not rotated")


def _no_gates(value: object) -> None:
    if flag(value):
        raise UnfitValueError("false: an InternViT has no gates in its MLP")


def _no_more(value: object) -> None:
    """Of parts, steps or ways to compute that an InternViT does not have."""
    if value not in (False, None, 0):
        raise UnfitValueError("false or none: an InternViT computes without it")


def _always(value: object) -> None:
    if value not in (True, None):
        raise UnfitValueError("true: an InternViT computes so")


def _learned_positions(value: object) -> None:
    if value not in ("absolute", "learned", "learnable", None):
        raise UnfitValueError("'absolute': an InternViT has learned positions, added once")


def _model_type(value: object) -> None:
    if isinstance(value, str) and (value.startswith("intern") or value == "dinov2"):
        return
    from transformers import CONFIG_MAPPING  # Takes seconds to import.

    # Of code that is not in transformers, such as OpenGVLab's, the weights' own names tell enough.
    if not isinstance(value, str) or value in CONFIG_MAPPING:
        raise UnfitValueError("that of an InternViT, such as 'intern_vit_6b': another model computes something else")


def _architecture(value: object) -> None:
    if not isinstance(value, str) or "quickgelu" in value:
        raise UnfitValueError("one of timm with the exact GELU, which an InternViT computes")


def _architectures(value: object) -> None:
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    strange = [n for n in names if isinstance(n, str) and not n.startswith("Intern") and n not in _SAME_AS_INTERNVIT]
    if not strange:
        return
    import transformers  # Takes seconds.

    if not set(strange).isdisjoint(dir(transformers)):
        raise UnfitValueError("that of an InternViT, such as ['InternVisionModel']: another computes something else")


# What has one value that an InternViT can have. Dropout, first values and the like change no encoder that is used.
_ONLY: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("hidden_act", "hidden_activation", "activation", "activation_function"), _exact_gelu),
    **dict.fromkeys(("act_layer", "act", "mlp_act", "act_fn"), _exact_gelu),
    # False adds a norm after the last block, which is left out as any file's is.
    "use_mean_pooling": flag,
    "use_absolute_position_embeddings": _position_embedding,
    "pruned_heads": _no_pruning,
    **dict.fromkeys(("rope_theta", "rope_scaling", "rope_parameters", "use_rope", "use_rot_pos_emb"), _no_rotation),
    "use_swiglu_ffn": _no_gates,
    "position_embedding_type": _learned_positions,
    **dict.fromkeys(_ADDED, _no_more),
    **dict.fromkeys(("scale_attn_weights", "normalize_before", "do_layer_norm_before"), _always),
    "architectures": _architectures,
    "model_type": _model_type,
    "architecture": _architecture,
}


def read_config_json(path: Path | None) -> dict[str, Any]:
    """The vision part of a ``config.json``; empty if there is none.

    Args:
        path: Where it would be.

    Raises:
        NotACheckpointError: It is no JSON, or cannot be read.
        WrongConfigError: It is JSON of something else.
    """
    if path is None or not (path.exists() or path.is_symlink()):
        return {}
    try:
        text = read_small(path, _MOST)
        check_text(path, text[:512])
        config = json.loads(text)
    except TooLargeError as error:
        raise WrongConfigError(f"{path} {str(error).removeprefix('it ')}, more than any config of a model.") from error
    except OSError as error:
        what = f"a link to {path.readlink()}, which is not there" if _is_dangling(path) else error.strerror or error
        raise NotACheckpointError(
            f"{path} cannot be read: {what}. It says how the weights beside it are used: put it there, or remove it."
        ) from error
    except (ValueError, RecursionError) as error:
        raise NotACheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise WrongConfigError(f"{path} holds {_kind(config)}, expected a JSON object of a model's settings.")
    return _vision_part(config, path)


def _is_dangling(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _vision_part(config: dict[str, Any], path: Path) -> dict[str, Any]:
    for _ in range(_DEEPEST):
        if not isinstance(config.get("vision_config", {}), dict):
            told = _kind(config["vision_config"])
            raise WrongConfigError(f"{path} says vision_config = {told}, expected an object. Correct it there.")
        parts = {key: config[key] for key in _VISION if isinstance(config.get(key), dict) and config[key]}
        if not parts:
            return config
        if any(part != next(iter(parts.values())) for part in parts.values()):
            raise WrongConfigError(
                f"{path} has {' and '.join(parts)}, which differ, and which of them is the encoder's is not told. "
                "Leave the others out."
            )
        config = next(iter(parts.values()))
    raise WrongConfigError(f"{path} has more than {_DEEPEST} vision parts within one another. Correct it there.")


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def entries(config: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, Any]]:
    """Keys of a config, in messages and by themselves, with their values; timm's ``model_args`` are among them.

    Args:
        config: Of :func:`read_config_json`.
        where: What it is, for errors.

    Raises:
        WrongConfigError: ``model_args`` is no object.
    """
    arguments = config.get("model_args") or {}
    if not isinstance(arguments, Mapping):
        raise WrongConfigError(f"{where} says model_args = {_kind(arguments)}, expected an object. Correct it there.")
    yield from ((key, key, value) for key, value in config.items() if key != "model_args")
    yield from ((f"model_args.{key}", key, value) for key, value in arguments.items())


def read_values(config: Mapping[str, Any], where: str) -> Told:
    """What a ``config.json`` says of the sizes of an encoder, of whichever model.

    Raises:
        WrongConfigError: A value is of another type, or there are two.
    """
    told = Told(where, {}, {})
    for key, plain, given in entries(config, where):
        if (name := _NAMES.get(plain)) is None:
            continue
        value = read_value(KINDS[name], given, where, key)
        if told.values.get(name, value) != value:
            raise WrongConfigError(f"{told.quote(name)}, but {key} = {short(value)}. Correct it there.")
        told.keys[name], told.values[name] = key, value
    return told


def read_told(config: dict[str, Any], weights: str, width: int) -> Told | None:
    """What a ``config.json`` says of an encoder.

    Args:
        config: Of :func:`read_config_json`.
        weights: Beside which it is, for errors.
        width: Channels of the encoder's weights.

    Returns:
        None if there is none. If parts of it contradict each other, ``unclear`` says so.

    Raises:
        WrongConfigError: A value is of another type, or of a model that is no InternViT.
    """
    if not config:
        return None
    where = f"config.json beside {weights}"
    parts = find_parts(config, width)
    if len(parts) > 1:
        return Told(where, {}, {}, f"{where[0].upper()}{where[1:]} {explain(parts)}")
    ((path, part),) = parts
    where += f", at {path}," if path else ""
    told = read_values(part, where)
    for key, plain, value in entries(part, where):
        if plain in _ONLY:
            read_value(_ONLY[plain], value, where, key, remedy="")
        elif key != plain and plain not in (*_NAMES, *_UNUSED):
            raise WrongConfigError(
                f"{where} says {key} = {short(value)}, and what an InternViT would be with it is not known. Leave it "
                "out if the weights are without it."
            )
    groups = part.get("num_key_value_heads")
    if groups is not None and groups != part.get("num_attention_heads", groups):
        raise WrongConfigError(
            f"{where} says num_key_value_heads = {short(groups)}, but num_attention_heads = "
            f"{short(part['num_attention_heads'])}: in an InternViT each head has keys and values of its own."
        )
    return told
