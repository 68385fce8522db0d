"""Which part of a ``config.json`` is the encoder's, wherever a larger model keeps it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import list_names

# How the channels of tokens, and the number of heads, are called.
_WIDTHS = ("hidden_size", "embed_dim", "num_features")
_HEADS = ("num_attention_heads", "num_heads", "head_dim", "head_width")
_EPSILONS = ("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps")
# Parts that are of no encoder of images, though they may have as many channels; timm's ``model_args`` belong to the
# config around them.
_OTHERS = re.compile(
    "model_args|text|llm|language|decoder|audio|speech|projector|former|resampler|perceiver|pool|connector|adapter|quantiz"
)
# More within one another is no config.
_DEEPEST = 8


def find_parts(config: Mapping[str, Any], width: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Parts of a config that may be those of an encoder, with the keys that lead there.

    Such a part tells heads, or the width and an epsilon, and no other width.

    Args:
        config: The whole, or what is known to be its vision part.
        width: Channels of the encoder's weights.

    Returns:
        One for each that differs; the whole, whose keys are empty, alone if no part is such.
    """
    found: list[tuple[str, Mapping[str, Any]]] = []
    for path, part in _walk(config, ""):
        if _may_be(part, width) and not any(_is_same(part, other) for _, other in found):
            found.append((path, part))
    with_heads = [(path, part) for path, part in found if not part.keys().isdisjoint(_HEADS)]
    return with_heads or found or [("", config)]


def _walk(config: Mapping[str, Any], before: str, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A config and the objects in it that are of no other kind of model, with the keys that lead there."""
    yield before.removesuffix("."), config
    for key, value in config.items():
        if isinstance(value, Mapping) and depth < _DEEPEST and not _OTHERS.search(key.lower()):
            yield from _walk(value, f"{before}{key}.", depth + 1)


def _may_be(part: Mapping[str, Any], width: int) -> bool:
    widths = [part[key] for key in _WIDTHS if key in part]
    tells = not part.keys().isdisjoint(_HEADS) or (bool(widths) and not part.keys().isdisjoint(_EPSILONS))
    return tells and all(type(value) is not bool and value == width for value in widths)


def _is_same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two parts say the same of an encoder, whatever is nested in them."""
    plain = [{key: value for key, value in part.items() if not isinstance(value, Mapping)} for part in (first, second)]
    return plain[0] == plain[1]


def explain(parts: list[tuple[str, Mapping[str, Any]]]) -> str:
    """Why several parts are no answer, and what to do."""
    names = list_names([path or "its own keys" for path, _ in parts])
    return (
        f"has several parts that may be the encoder's, {names}, which differ, and which of them it is is not told. "
        "This is not guessed: pass num_heads= and img_size=, and norm_eps= if it is not 1e-6; or leave the others out."
    )
