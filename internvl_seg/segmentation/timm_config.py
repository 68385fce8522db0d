"""``config.json`` beside weights of a model of timm: what it says is read, or compared with the model, or refused."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from timm.layers.create_act import get_act_layer
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from ..checkpoints.config_json import entries, read_values
from ..checkpoints.errors import ShapeMismatchError, WrongConfigError
from ..checkpoints.told import check_fits, read_value
from ..common.kinds import UnfitValueError
from ..encoder.block import hidden_channels
from ..encoder.position import RGB

_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation", "activation_function", "act_layer")
# As transformers calls some of timm's.
_BY_OTHER_NAMES = {"gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh"}
# What timm's ``model_args`` may hold that changes no token of a frozen encoder, or is seen in its names and shapes.
_UNUSED = (
    *("num_classes", "global_pool", "init_values", "drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate"),
    *("attn_drop_rate", "drop_path_rate", "dynamic_img_size", "dynamic_img_pad", "strict_img_size", "fc_norm"),
    *("class_token", "reg_tokens", "weight_init", "fix_init"),
)


def base_name(arch: str) -> str:
    """An architecture's name without where it is from and which weights it has."""
    return arch.removeprefix("timm/").partition(".")[0]


def apply_timm_config(model: Any, config: Mapping[str, Any], arch: str, path: str) -> tuple[int, int] | None:
    """Compare a ``config.json`` with the model that gets the weights beside it, and give it their mean and deviation.

    Args:
        model: Of timm.
        config: Of :func:`internvl_seg.checkpoints.config_json.read_config_json`.
        arch: timm's name of the model.
        path: The weights, for errors.

    Returns:
        Height and width, in pixels, of the images that the weights' position embedding is for, if it says so.

    Raises:
        WrongConfigError: It is of another model, or says what is not known.
    """
    where = f"config.json beside {path}"
    told = read_values(config, where)
    named = config.get("architecture")
    if named is not None and (not isinstance(named, str) or base_name(named) != base_name(arch)):
        raise WrongConfigError(
            f"{where} says architecture = {named!r}, but backbone.arch = {arch!r}. Set backbone.arch to what it says, "
            "or correct it if it is wrong."
        )
    remedy = f"Set backbone.arch to a model of timm that has this, instead of {arch!r}, or correct it if it is wrong."
    if told.values.get("in_chans") == RGB:  # Weights of RGB are made to fit other bands.
        del told.values["in_chans"]
    shown = _shown(model)
    if "mlp_ratio" in told.values:
        told.values["mlp_ratio"] = hidden_channels(model.embed_dim, told.values["mlp_ratio"])
    check_fits(told, shown, f"timm's {base_name(arch)} has {{}}", remedy)
    compared = {key for name, key in told.keys.items() if name in shown or name == "img_size"}
    for key, plain, value in entries(config, where):
        if plain in _ACTIVATIONS:
            _check_activation(model, key, value, where, remedy)
        elif key != plain and key not in compared and plain not in _UNUSED:
            raise WrongConfigError(
                f"{where} says {key} = {value!r}, but timm's {base_name(arch)} is built as it is there, without "
                f"arguments. {remedy}"
            )
    return _read_pretrained(model, config, where) or told.values.get("img_size")


def _shown(model: Any) -> dict[str, Any]:
    """What a model of timm has, by the names of what is told; what this kind of model does not show is left out."""
    block, patch = model.blocks[0], tuple(model.patch_embed.patch_size)
    found = {
        "embed_dim": model.embed_dim,
        "depth": len(model.blocks),
        "in_chans": model.patch_embed.proj.in_channels,
        "patch_size": patch[0] if patch[0] == patch[1] else None,
        "num_heads": getattr(getattr(block, "attn", None), "num_heads", None),
        "norm_eps": getattr(getattr(block, "norm1", None), "eps", None),
        "hidden": getattr(getattr(getattr(block, "mlp", None), "fc1", None), "out_features", None),
    }
    if found["num_heads"] is not None:
        found["head_dim"] = model.embed_dim // found["num_heads"]
    qkv = getattr(getattr(block, "attn", None), "qkv", None)
    if isinstance(qkv, nn.Linear) and not hasattr(block.attn, "q_bias"):
        found["qkv_bias"] = qkv.bias is not None
    found["mlp_ratio"] = found["hidden"]
    return {name: value for name, value in found.items() if value is not None}


def _check_activation(model: Any, key: str, value: object, where: str, remedy: str) -> None:
    """Compare what a named activation computes with what a model's blocks have."""
    try:
        named = get_act_layer(_BY_OTHER_NAMES.get(str(value), str(value)))
    except (KeyError, ValueError, TypeError):
        named = None
    own = next((module for name, module in model.blocks[0].named_modules() if name.rpartition(".")[2] == "act"), None)
    values = torch.linspace(-4, 4, 33)
    if named is None or own is None or not torch.allclose(named()(values), own(values), atol=1e-6):
        has = "none that is known" if own is None else str(own)
        raise WrongConfigError(f"{where} says {key} = {value!r}, but the model's blocks have {has}. {remedy}")


def _read_pretrained(model: Any, config: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """Take mean and deviation of images from timm's ``pretrained_cfg``; gives the size of images, if it is told."""
    settings = config.get("pretrained_cfg") or {}
    if not isinstance(settings, Mapping):
        raise WrongConfigError(f"{where} says pretrained_cfg = {settings!r}, expected an object. Correct it there.")
    read = {name: read_value(_colour, settings[name], where, f"pretrained_cfg.{name}") for name in ("mean", "std")
            if name in settings}  # fmt: skip
    if 0 in read.get("std", ()):
        raise WrongConfigError(f"{where} says pretrained_cfg.std = {settings['std']!r}, expected numbers above 0.")
    model.pretrained_cfg = {**model.pretrained_cfg, **read}
    size = settings.get("input_size")
    if not isinstance(size, (list, tuple)) or len(size) != 3 or not all(isinstance(side, int) for side in size):
        return None
    # Of a square timm says the size that its own training had last, which the embedding may be resized to.
    return (size[1], size[2]) if size[1] != size[2] and min(size) > 0 else None


def _colour(value: object) -> tuple[float, ...]:
    if isinstance(value, (list, tuple)) and len(value) == 3:
        numbers = [float(v) for v in value if isinstance(v, (int, float)) and math.isfinite(v) and v >= 0]
        if len(numbers) == 3:
            return tuple(numbers)
    raise UnfitValueError("three numbers from 0 on")


def fit_positions(model: Any, state: dict[str, Tensor], size: tuple[int, int] | None, path: str) -> None:
    """Resize a position embedding to a model's grid where it is of no square grid, which timm would take it for.

    Args:
        model: Of timm.
        state: Weights in timm's names; changed in place.
        size: Height and width, in pixels, of the images that the embedding is for; unknown if None.
        path: The weights, for errors.

    Raises:
        ShapeMismatchError: It is of no square, and its rows and columns are not told.
        WrongConfigError: What is told does not fit it.
    """
    own, stored = getattr(model, "pos_embed", None), state.get("pos_embed")
    if own is None or stored is None or own.ndim != 3:
        return
    if stored.ndim == 3 and stored.shape[2] != own.shape[2]:  # Of another model, as other weights are, too.
        return
    rows, columns = model.patch_embed.grid_size
    prefix = own.shape[1] - rows * columns
    if stored.ndim != 3 or stored.shape[0] != 1 or stored.shape[1] <= prefix:
        raise ShapeMismatchError(
            f"{path}: pos_embed is {tuple(stored.shape)}, expected (1, {prefix} + rows * columns, {own.shape[2]})."
        )
    positions = stored.shape[1] - prefix
    if size is not None:
        patch = model.patch_embed.patch_size
        grid = (size[0] // patch[0], size[1] // patch[1])
        if grid[0] * grid[1] != positions:
            raise WrongConfigError(
                f"config.json beside {path} tells images of {size[0]} x {size[1]} pixels, {grid[0]} x {grid[1]} "
                f"patches, but pos_embed has {positions} positions. Correct it there."
            )
        if grid != (rows, columns):
            state["pos_embed"] = resample_abs_pos_embed(stored, [rows, columns], list(grid), prefix)
    elif math.isqrt(positions) ** 2 != positions:
        raise ShapeMismatchError(
            f"{path}: pos_embed has {positions} positions, which is no square, and no config.json says how many rows "
            'and columns they are. Write one beside the file: {"image_size": [HEIGHT, WIDTH]}, in pixels.'
        )
