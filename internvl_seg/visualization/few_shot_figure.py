"""The heads of a probing study, compared by how many images they were trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .class_figures import COLOURS, plain
from .probe_figures import MARKERS, legend_below, name_kind, name_with_word

if TYPE_CHECKING:  # Probing imports this package; only its types are needed here.
    from ..probing.summary import Repeated

_MOST_LINES = 7
# What stands for all training images among amounts of them.
_ALL = math.inf


def _amount(group: Repeated) -> float:
    subset = group.spec.subset
    return _ALL if subset is None else subset.fraction or subset.per_class or 0


def _tick(amount: float, is_share: bool) -> str:
    return "all" if amount == _ALL else f"{100 * amount:g} %" if is_share else f"{amount:g}"


def _lines(groups: Sequence[Repeated]) -> dict[str, dict[float, Repeated]]:
    """By a line's name, at every amount of images, the best of its settings; lines of few-shot heads alone."""
    several = len({group.spec.encoder for group in groups}) > 1
    lines: dict[str, dict[float, Repeated]] = {}
    for group in groups:
        spec = group.spec
        name = f"{plain(spec.encoder)}: " * several + f"{name_kind(spec)}, {name_with_word(spec.blocks)}"
        line, amount = lines.setdefault(name, {}), _amount(group)
        if amount not in line or group.mean > line[amount].mean:
            line[amount] = group
    return {name: line for name, line in lines.items() if min(line) < _ALL}


def draw_few_shot(groups: Sequence[Repeated], metric: str) -> Figure:
    """Mean and standard deviation of scores over draws and seeds, by the number of training images.

    A line stands for an encoder, a kind of head and its blocks; at every number of images, for the best of its learning
    rates, weight decays and so on. Of more than 7 lines those are drawn that are the best with the most images.

    Args:
        groups: What :func:`internvl_seg.probing.summary.mean_and_std` gives of all heads, few-shot or not.
        metric: Name of the score, which is in percent.

    Returns:
        A figure, with axes for shares of all images and for images of every class; ``.savefig(path)`` writes it.

    Raises:
        ValueError: No head is a few-shot one.
    """
    everything = [group for group in groups if group.spec.subset is None]
    shares = [group for group in groups if group.spec.subset and group.spec.subset.fraction]
    counts = [group for group in groups if group.spec.subset and not group.spec.subset.fraction]
    kinds = {"share of the training images": shares, "training images per class": counts}
    lines = {title: _lines([*members, *everything]) for title, members in kinds.items() if members}
    if not lines:
        raise ValueError("There is no few-shot head to draw.")
    ends: dict[str, tuple[float, float]] = {}
    for found in lines.values():
        for name, line in found.items():
            ends[name] = max(ends.get(name, (0.0, 0.0)), (max(line), line[max(line)].mean))
    shown = sorted(ends, key=lambda name: ends[name], reverse=True)[:_MOST_LINES]
    styles: dict[str, dict[str, Any]] = {
        name: {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5}
        for name, colour, marker in zip(shown, COLOURS, MARKERS, strict=False)
    }
    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    grid = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
    for axes, (title, found) in zip(grid, lines.items(), strict=True):
        amounts = sorted({amount for line in found.values() for amount in line})
        for i, name in enumerate(shown):
            points = sorted(found.get(name, {}).items())
            # Side by side, because bars at one place would hide one another.
            places = [amounts.index(amount) + 0.06 * (i - (len(shown) - 1) / 2) for amount, _ in points]
            deviations = [group.std or 0.0 for _, group in points]
            axes.errorbar(places, [group.mean for _, group in points], deviations, capsize=3, **styles[name])
        axes.set_xticks(range(len(amounts)), [_tick(amount, title.startswith("share")) for amount in amounts])
        axes.set_xlim(-0.4, len(amounts) - 0.6)
        axes.set_xlabel(title)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel(f"{metric} in %, mean ± std")
    if len(shown) < len(ends):
        figure.suptitle(f"the best {len(shown)} of {len(ends)} combinations of encoder, head and blocks", fontsize=10)
    legend_below(figure, [Line2D([], [], label=name, **styles[name]) for name in shown])
    return figure
