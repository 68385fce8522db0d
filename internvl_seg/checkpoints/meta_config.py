"""What the config of a run, which MMEngine keeps as text in a checkpoint, says of the encoder in it."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from ..common.kinds import height_and_width, short, whole
from ..encoder.block import hidden_channels
from ..encoder.intern_vit import InternViT
from ..encoder.releases import find_release_of_name
from .config_text import ConfigTextError, Expression, parse_config_text
from .errors import WrongConfigError
from .told import KINDS, Told, read_value
from .weight_names import COPIES, WRAPPERS

logger = logging.getLogger(__name__)

# Where checkpoints have it, MMCV's last but one.
_PLACES = (("meta", "cfg"), ("meta", "config"), ("message_hub", "runtime_info", "cfg"))
# Where an encoder may be an expression.
_MODELS = (("model",), ("model", "backbone"))
# Deeper is no config.
_DEEPEST = 24

# What the official code (MMSegmentation 0.x) calls its encoder.
_OFFICIAL = "InternViT6B"
# What it builds where the config says nothing of these.
_OFFICIAL_DEFAULTS = {"num_heads": 25, "embed_dim": 3200}
_TIMM = "TimmViT"
# What means the same in the ``arch`` of any vision transformer's class.
_ANYONES = ("embed_dim", "num_heads", "norm_eps", "img_size")
# What a backbone's config may have beside its ``arch``.
_BESIDE = ("in_chans", "extra_bands")
_DEFAULTS = {
    name: inspect.signature(InternViT).parameters[name].default for name in KINDS if name not in ("hidden", "head_dim")
}


def read_told(
    checkpoint: Mapping[str, Any], prefix: str, where: str, by_name: bool = False, width: int | None = None
) -> Told | None:
    """What a checkpoint's config says of an encoder in it.

    Args:
        checkpoint: What it holds beside the weights: ``meta`` and ``message_hub``, if they are there.
        prefix: What stands before the encoder's names, such as ``backbone.``.
        where: The checkpoint, for errors.
        by_name: Take only what the config has at these names, not the one encoder that it has elsewhere.
        width: Channels of the encoder's weights, if they are known.

    Returns:
        None if there is no config, or it says nothing of an encoder. If it may say something that cannot be understood,
        ``unclear`` says why.

    Raises:
        WrongConfigError: A value is of another type.
    """
    found = []
    for place in _PLACES:
        config: Any = checkpoint
        for key in place:
            around, config = config, config.get(key) if isinstance(config, Mapping) else None
        if config is None and isinstance(around, Mapping) and key in around:
            logger.warning("%s has no config: %s is None, so it tells nothing of its encoder.", where, ".".join(place))
        if config is not None:
            found.append(_read_config(config, prefix, f"the config in {where} ({'.'.join(place)})", by_name, width))
    told = [one for one in found if one is not None]
    return next((one for one in told if not one.unclear), told[0] if told else None)


def _read_config(config: Any, prefix: str, where: str, by_name: bool, width: int | None) -> Told | None:
    if not isinstance(config, Mapping):
        text = config
        try:
            config = parse_config_text(text)
        except ConfigTextError as error:
            # MMCV kept a file's own text at times, which may be any Python.
            silent = where.endswith("(meta.config)") and not _is_like(text)
            return None if silent else _unclear(where, f"it cannot be read: {str(error).rstrip('.')}")
    elif not config:
        return _unclear(where, "it is of a class that is not read")
    names, nodes = ("model", *prefix.split(".")[:-1]), list(_walk(config))
    encoders = [(path, node) for path, node in nodes if _is_encoder(path, node) or (by_name and _is_timm(node))]
    strange = [] if by_name else [(path, node) for path, node in nodes if _is_strange(node, path, encoders)]
    chosen = _find(encoders + strange, names, by_name) or ([] if by_name else encoders)
    odd = [".".join(path) for path, node in nodes if _is_expression(path, node)]
    if odd and (len(chosen) != 1 or chosen[0][0][:1] != ("model",)):
        return _unclear(where, f"{odd[0]} is no plain value")
    told = [_told_by_node(node, ".".join(path), where, width) for path, node in chosen]
    if any(_values(one) != _values(told[0]) for one in told):
        keys = " and ".join(".".join(path) for path, _ in chosen)
        return _unclear(where, f"it has several encoders, {keys}, and which is {prefix or 'this one'} is not told")
    return told[0] if told else None


def _values(told: Told | None) -> tuple[Any, ...]:
    if told is None:
        return ()
    # Which blocks' maps are taken is the model's choice, not the encoder's.
    return {name: value for name, value in told.values.items() if name != "out_indices"}, bool(told.unclear)


def _unclear(where: str, why: str) -> Told:
    why = (
        f"{where[0].upper()}{where[1:]} may say how its encoder computes, but {why}. This is not guessed: pass "
        "num_heads= and img_size=, and norm_eps= if it is not 1e-6; or save the state_dict without the config."
    )
    return Told(where, {}, {}, why)


def _walk(config: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All parts of a config, each once however often it is referred to, with the keys that lead there."""
    seen: set[int] = set()
    parts: list[tuple[tuple[str, ...], Any]] = [((), config)]
    while parts:
        path, node = parts.pop()
        yield path, node
        if isinstance(node, (Mapping, list, tuple)) and id(node) not in seen and len(path) < _DEEPEST:
            seen.add(id(node))
            inner = node.items() if isinstance(node, Mapping) else enumerate(node)
            parts += [((*path, str(key)), value) for key, value in inner]


def _kind(node: Mapping[str, Any]) -> str:
    kind = node.get("type", "")
    return kind.strip("'\"").rpartition(".")[2] if isinstance(kind, str) else ""


def _is_like(text: object) -> bool:
    return isinstance(text, str) and "InternViT" in text


def _is_encoder(path: tuple[str, ...], node: Any) -> bool:
    """Whether a part of a config describes an InternViT, or a class that is made of it."""
    if not isinstance(node, Mapping) or not _is_like(kind := _kind(node)):
        return False
    return "arch" in node or kind == _OFFICIAL or path[-1:] == ("backbone",)


def _is_timm(node: Any) -> bool:
    return isinstance(node, Mapping) and _kind(node) == _TIMM


def _is_strange(node: Any, path: tuple[str, ...], encoders: list[tuple[tuple[str, ...], Any]]) -> bool:
    """Whether a part of a config describes a model that is no InternViT by its name, and holds none."""
    if not isinstance(node, Mapping) or not _kind(node) or _is_like(_kind(node)) or _is_timm(node):
        return False
    return ("arch" in node or len(path) > 1) and not any(inner[: len(path)] == path for inner, _ in encoders)


def _is_expression(path: tuple[str, ...], node: Any) -> bool:
    """Whether a part of a config may be an encoder's, but is an expression that would have to be run."""
    return isinstance(node, str) and (path in _MODELS or (_is_like(node) and "(" in node))


def _find(
    nodes: list[tuple[tuple[str, ...], Any]], names: tuple[str, ...], by_name: bool
) -> list[tuple[tuple[str, ...], Any]]:
    """Those of a config's models that have an encoder's names, as closely as there are any."""
    for left_out in (WRAPPERS,) if by_name else (WRAPPERS, WRAPPERS | COPIES):
        wanted = [name for name in names if name not in left_out]
        if found := [(path, node) for path, node in nodes if [key for key in path if key not in left_out] == wanted]:
            return found
    return []


def _told_by_node(node: Mapping[str, Any], key: str, where: str, width: int | None) -> Told | None:
    if _kind(node) == _TIMM:
        told: Told | None = _told_by_timm(node, key, where)
    elif _kind(node) == _OFFICIAL and "arch" not in node:
        told = _told_by_official(node, key, where, width)
    elif not _is_like(_kind(node)):
        told = _told_by_strange(node, key, where)
    else:
        told = _told_by_own(node, key, where)
    taken = node.get("out_indices", None if _kind(node) == _OFFICIAL else (-1,))
    if told is not None and not told.unclear and isinstance(taken, (list, tuple)):
        told.keys["out_indices"], told.values["out_indices"] = f"{key}.out_indices", tuple(taken)
    return told


def _told_by_timm(node: Mapping[str, Any], key: str, where: str) -> Told | None:
    if not isinstance(arch := node.get("arch"), str):
        return None
    values = {"arch": arch.removeprefix("timm/").partition(".")[0], "norm": node.get("norm", False)}
    return Told(where, {name: f"{key}.{name}" for name in values}, values)


def _told_by_own(node: Mapping[str, Any], key: str, where: str) -> Told:
    arch = node.get("arch")
    release = find_release_of_name(arch) if isinstance(arch, str) else None
    if arch is None or (isinstance(arch, str) and release is None):  # Of code that is not here, or an expression.
        return _unclear(where, f"{key}.arch = {short(arch)} is not known here")
    given: Any = release.arguments() if release is not None else arch
    if not isinstance(given, Mapping):
        raise WrongConfigError(f"{where} says {key}.arch = {short(arch)}, expected a name or a dict. Correct it there.")
    said = {f"{key}.arch.{name}": given.get(name) for name in _DEFAULTS}
    said |= {f"{key}.{name}": node.get(name) for name in ("img_size", *_BESIDE)}
    if odd := [name for name, value in said.items() if _is_odd(value)]:
        return _unclear(where, f"{odd[0]} = {short(said[odd[0]])} is no plain value")
    values: dict[str, Any] = {}
    known = _is_like(_kind(node))  # Of another class neither the defaults are nor what it means by all of these.
    for name in _DEFAULTS if known else [name for name in _ANYONES if name in given]:
        values[name] = read_value(KINDS[name], given.get(name, _DEFAULTS[name]), where, f"{key}.arch.{name}")
    keys = {name: f"{key}.arch.{name}" for name in values}
    if node.get("img_size") is not None:
        keys["img_size"] = f"{key}.img_size"
        values["img_size"] = read_value(height_and_width, node["img_size"], where, keys["img_size"])
    if not known:
        return Told(where, keys, values)
    for name in _BESIDE:
        if node.get(name) is not None:
            keys[name], values[name] = f"{key}.{name}", read_value(KINDS[name], node[name], where, f"{key}.{name}")
    # The file has whole channels, which several ratios make.
    values["hidden"], keys["hidden"] = hidden_channels(values["embed_dim"], values.pop("mlp_ratio")), keys["mlp_ratio"]
    return Told(where, keys, values)


def _is_odd(value: object) -> bool:
    """Whether a value is an expression, or a list or pair with one; deeper is no value of an encoder."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    return any(isinstance(item, Expression) for item in items)


def _told_by_official(node: Mapping[str, Any], key: str, where: str, width: int | None) -> Told | None:
    if _is_odd(given := node.get("num_heads", 0)):
        return _unclear(where, f"{key}.num_heads = {short(given)} is no plain value")
    if "num_heads" in node:
        heads = read_value(whole, given, where, f"{key}.num_heads")
    else:
        heads, width = _OFFICIAL_DEFAULTS["num_heads"], width or _OFFICIAL_DEFAULTS["embed_dim"]
        if width % heads or node.get("embed_dim", width) != width:
            return _unclear(where, f"{key} has no num_heads, and the {heads} of an {_OFFICIAL} do not fit the weights")
    return Told(where, {"num_heads": f"{key}.num_heads"}, {"num_heads": heads})


def _told_by_strange(node: Mapping[str, Any], key: str, where: str) -> Told:
    """What a class of one's own is made of, if it takes an ``arch`` as those here do."""
    arch = node.get("arch")
    if not isinstance(arch, Mapping) or "num_heads" not in arch:
        return _unclear(where, f"{key} is of type {_kind(node)!r}, which is not known here")
    return _told_by_own(node, key, where)
