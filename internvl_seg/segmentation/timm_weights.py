"""Weights of timm's models out of files: read in timm's names or in those that it renames, exactly or not at all."""

import contextlib
import io
import itertools
import re
import sys
from collections.abc import Collection
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..checkpoints.errors import CheckpointError, KeyMismatchError, ShapeMismatchError, list_names
from ..checkpoints.finite_weights import check_weights, non_finite
from ..checkpoints.plain_weights import check_dtype, explain_names
from ..checkpoints.sources import open_source
from ..checkpoints.stored import InMemory
from ..checkpoints.weight_names import plain_names
from ..common.finite import is_finite
from ..encoder.position import RGB, widen_patch_embed
from .timm_config import apply_timm_config, fit_positions

_IN_BLOCK = re.compile(r"(?:^|\.)\d+\.")
# What timm leaves out of blocks because it changes no feature, or is computed anew.
_ANCHOR = "patch_embed.proj.weight"
_UNUSED = re.compile(r"rope|\.bias_mask$|mask_token|\.B\.")


def read_timm_weights(model: nn.Module, path: str, arch: str, extra_bands: str = "zero") -> None:
    """Read weights from a file in timm's names, or in those that timm renames, to any size of the position grid.

    Args:
        model: Of timm, without a classifier.
        path: File or folder.
        arch: timm's name of the model, for errors.
        extra_bands: What bands after the third get of weights of RGB.

    A ``config.json`` beside it counts (:func:`internvl_seg.segmentation.timm_config.apply_timm_config`).

    Raises:
        CheckpointError: A subclass says what is wrong.
    """
    source = open_source(path)
    explain_names(source.reader.names, path)
    size = apply_timm_config(model, source.config, arch, path)
    names = plain_names(source.reader.names, path, model.state_dict().keys())
    state = {name: source.reader.read(stored) for name, stored in names.items()}
    fit_positions(model, state, size, path)
    try:
        renamed = _rename(model, state, path, arch)
        _fit_bands(model, renamed, extra_bands)
        missing, unexpected = model.load_state_dict(renamed, strict=False)
    except CheckpointError:
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ShapeMismatchError(f"{path} does not fit timm's model: {error}") from error
    unexpected = [name for name in unexpected if not name.startswith(("head", "fc_norm"))]
    if missing or unexpected:
        raise KeyMismatchError(
            f"{path} does not fit timm's model."
            + (f" It lacks {len(missing)}: {list_names(missing)}." if missing else "")
            + (f" It has {len(unexpected)} too many: {list_names(unexpected)}." if unexpected else "")
        )


def _fit_bands(model: Any, state: dict[str, Tensor], extra_bands: str) -> None:
    """Widen a patch embedding of RGB in a state dict to a model's bands."""
    own, stored = model.patch_embed.proj.weight, state.get(_ANCHOR)
    if stored is not None and stored.ndim == 4 and stored.shape[1] == RGB:
        state[_ANCHOR] = widen_patch_embed(stored, own.shape[1], extra_bands)


def cast_weights(model: nn.Module, dtype: torch.dtype, where: str) -> None:
    """Give a model a dtype, in which all its weights have to be finite.

    Args:
        model: The model.
        dtype: Of all its tensors from now on.
        where: Its weights are from, for the error.

    Raises:
        NonFiniteWeightsError: They are not.
    """
    check_weights(model.named_parameters(), where)
    before = dict(model.state_dict())
    model.to(dtype)
    for name, tensor in model.named_parameters():
        if not tensor.is_meta and not is_finite(tensor):
            raise non_finite({name: InMemory(before[name])}, tensor, where)


class _Traced(Tensor):
    """A tensor that knows the names of those that it was made of."""

    sources: frozenset[str]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        parts = [leaf.sources for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, _Traced)]
        for leaf in tree_leaves(found):
            if isinstance(leaf, _Traced):
                leaf.sources = frozenset().union(*parts)
        return found


def _rename(model: nn.Module, state: dict[str, Tensor], path: str, arch: str) -> dict[str, Tensor]:
    """Give weights timm's names, as timm does; what it would leave out of a block in silence is an error.

    Raises:
        KeyMismatchError: It would leave out weights that are not zero.
        UnreadableWeightsError: Weights are quantised, or of a dtype that no weights have.
    """
    rename = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    own = {name for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    if rename is None:
        for name in own & state.keys():
            check_dtype(name, state[name].dtype, path)
        return state
    traced: dict[str, Any] = {name: tensor.as_subclass(_Traced) for name, tensor in state.items()}
    for name, tensor in traced.items():
        tensor.sources = frozenset([name])
    with contextlib.redirect_stdout(io.StringIO()):  # timm prints of what it leaves out.
        renamed: dict[str, Tensor] = rename(traced, model)
    # What timm computes of a tensor may be of another dtype than the tensor.
    for name in own & renamed.keys():
        for source in sorted(getattr(renamed[name], "sources", ())):
            check_dtype(source, state[source].dtype, path)
    used = frozenset().union(*(tensor.sources for tensor in renamed.values() if isinstance(tensor, _Traced)))
    inside = [name for name in state.keys() - used if name.startswith(_root(used)) and _IN_BLOCK.search(name)]
    if dropped := [name for name in inside if not _UNUSED.search(name) and state[name].any()]:
        other = f"{arch.partition('.')[0].removeprefix('timm/')}_qkvb"
        remedy = f"backbone.arch={other!r} has such" if timm.is_model(other) else "Take the model that has them"
        raise KeyMismatchError(
            f"{path} holds {len(dropped)} weights that timm's {arch!r} has no place for and would leave out: "
            f"{list_names(dropped)}. {remedy}."
        )
    return {name: tensor.as_subclass(Tensor) for name, tensor in renamed.items()}


def _root(names: Collection[str]) -> str:
    """What stands before all of some names, up to a dot: a file may hold more, such as an encoder of texts."""
    first, last = min(names, default=""), max(names, default="")
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same).rpartition(".")[0]
