"""Rows and columns of a stored position embedding, which its shape does not tell."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..common.kinds import short
from . import meta_config
from .errors import ShapeMismatchError, WrongConfigError
from .told import OWN, Told, check_clear, read_own

# Key of a module's part of a state dict's metadata, where PyTorch keeps versions of modules.
GRID = "grid_size"


def find_grid(
    told: Sequence[Told], positions: int, patch_size: int, where: str, wanted: tuple[int, int] | None = None
) -> tuple[int, int]:
    """The grid of a position embedding: as is told, else as is wanted, else a square, as all released ones are.

    Args:
        told: What stands beside the weights.
        positions: Rows times columns.
        patch_size: Of the stored weights, in pixels.
        where: File and tensor, for errors.
        wanted: The grid that was asked for, which it has if that has as many positions.

    Raises:
        ShapeMismatchError: Nothing tells, and it is no square.
        WrongConfigError: What is told does not fit, or there are two answers.
    """
    found: dict[tuple[int, int], Told] = {}
    for one in told:
        if "img_size" not in one.values:
            continue
        height, width = one.values["img_size"]
        grid = (height // patch_size, width // patch_size)
        if grid[0] * grid[1] != positions:
            raise WrongConfigError(
                f"{one.quote('img_size')}, {grid[0]} x {grid[1]} patches of {patch_size} pixels, but {where} has "
                f"{positions} positions besides the CLS token. Correct it there."
            )
        found.setdefault(grid, one)
    if len(found) > 1:
        raise WrongConfigError(f"{' and '.join(one.quote('img_size') for one in found.values())}. Correct one of them.")
    for grid in found:
        return grid
    if wanted is not None and wanted[0] * wanted[1] == positions:
        return wanted
    check_clear(told)
    side = math.isqrt(positions)
    if side * side != positions:
        raise ShapeMismatchError(
            f"{where} has {positions} positions besides the CLS token, which is no square, and no config.json says how "
            'many rows and columns they are. Write one beside the file: {"image_size": [HEIGHT, WIDTH]}, in pixels; or '
            "pass that as img_size=."
        )
    return side, side


def tell_grids(checkpoint: Mapping[str, Any], state: Mapping[str, Any], where: str) -> OrderedDict[str, Any]:
    """A state dict whose metadata hold what its checkpoint tells of position grids.

    There a backbone looks for it when it loads its part, and sees no more of the checkpoint than that.

    Args:
        checkpoint: As it was read; empty if there is nothing around the state dict.
        state: The state dict in it.
        where: Its file, for errors.

    Raises:
        WrongConfigError: What is told cannot be read, or does not fit.
    """
    metadata = dict(getattr(state, "_metadata", None) or {})
    for name in [name for name in state if isinstance(name, str) and name.rpartition(".")[2] == "pos_embed"]:
        prefix = name.removesuffix("pos_embed")
        kernel, pos_embed = state.get(f"{prefix}patch_embed.proj.weight"), state[name]
        told = [read_own(checkpoint.get(OWN), where), meta_config.read_told(checkpoint, prefix, where, by_name=True)]
        known = [one for one in told if one is not None and "img_size" in one.values]
        if not isinstance(kernel, torch.Tensor) or not isinstance(pos_embed, torch.Tensor):
            continue  # Whoever loads them tells.
        if known and kernel.ndim == 4 and pos_embed.ndim == 3:
            grid = find_grid(known, pos_embed.shape[1] - 1, kernel.shape[2], f"{where}: {name}")
            metadata[prefix[:-1]] = {**metadata.get(prefix[:-1], {}), GRID: list(grid)}
    renewed = OrderedDict(state)
    renewed._metadata = metadata  # type: ignore[attr-defined]  # As PyTorch's own state dicts have it.
    return renewed


def grid_of_state(metadata: Mapping[str, Any], positions: int) -> tuple[int, int] | None:
    """The grid that a state dict's metadata tell of a module's position embedding; None if they do not.

    Args:
        metadata: The module's part.
        positions: Rows times columns.

    Raises:
        ShapeMismatchError: It does not fit.
    """
    grid = metadata.get(GRID)
    if grid is None:
        return None
    try:
        rows, columns = grid
        if isinstance(rows, int) and isinstance(columns, int) and rows > 0 and rows * columns == positions:
            return rows, columns
    except (TypeError, ValueError):
        pass
    raise ShapeMismatchError(
        f"The checkpoint says that its position embedding has the grid {short(grid)}, but it has {positions} positions "
        "besides the CLS token. It was put together of two."
    )
