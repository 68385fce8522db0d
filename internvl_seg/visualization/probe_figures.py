"""The heads of a probing study, compared by blocks and by learning rate."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .class_figures import COLOURS, plain

if TYPE_CHECKING:  # Probing imports this package; only its types are needed here.
    from ..probing.head_spec import HeadResult, HeadSpec

Blocks = tuple[int, ...]
Key = TypeVar("Key", bound=Hashable)
MARKERS = "osD^vP*X"
_SOLVERS = {"adamw": "AdamW", "sgd": "SGD", "lbfgs": "L-BFGS"}
_KINDS = {"knn": "k-NN", "upernet": "UperNet", "mlp": "MLP"}
# The light end of a scale of colours vanishes on white.
_DARK_SHARE = 0.88


def name_blocks(blocks: Sequence[int]) -> str:
    """Blocks for people: '7', '2, 5, 8, 11', or '0–11' for those that follow one another."""
    runs: list[list[int]] = []
    for block in blocks:
        if runs and block == runs[-1][-1] + 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    named = [[f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(block) for block in run] for run in runs]
    return ", ".join(name for run in named for name in run)


def name_with_word(blocks: Sequence[int]) -> str:
    """Blocks for people, after the word: 'block 7' or 'blocks 2, 5, 8, 11'."""
    return f"block{'s' * (len(blocks) > 1)} {name_blocks(blocks)}"


def name_kind(spec: HeadSpec) -> str:
    """A head's architecture and solver for people: 'linear, AdamW', 'attention pooling, SGD', 'ridge', 'k-NN'."""
    kind = _KINDS.get(spec.kind, spec.kind.replace("_", " "))
    return f"{kind}, {_SOLVERS[spec.solver]}" if spec.solver in _SOLVERS else kind


def legend_below(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Add lines with their labels below a figure's axes, as many side by side as fit."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    # About 120 letters and samples of lines fit side by side.
    columns = max(1, min(len(handles), 120 // (longest + 7)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def score_of(result: HeadResult) -> float:
    """The score of a head that is drawn; those that diverged have none and are left out before."""
    assert result.score is not None
    return result.score


class _Panel(NamedTuple):
    """Axes with some of the heads."""

    axes: Axes
    title: str
    results: list[HeadResult]


def _grouped(results: Iterable[HeadResult], key: Callable[[HeadSpec], Key]) -> dict[Key, list[HeadResult]]:
    groups: dict[Key, list[HeadResult]] = {}
    for result in results:
        groups.setdefault(key(result.spec), []).append(result)
    return groups


def _best(results: Iterable[HeadResult], key: Callable[[HeadSpec], Key]) -> dict[Key, float]:
    return {name: max(map(score_of, members)) for name, members in _grouped(results, key).items()}


def _panels(groups: Mapping[str, list[HeadResult]], label: str, xlabel: str) -> tuple[Figure, list[_Panel]]:
    """A figure with axes of one scale for each group.

    Raises:
        ValueError: There is no group.
    """
    if not groups:
        raise ValueError("There is no head to draw.")
    columns = min(len(groups), 2)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(9.6, 3.6 * rows + 0.9), layout=ConstrainedLayoutEngine(h_pad=0.09))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat:
        axes.set_xlabel(xlabel)
        axes.grid(alpha=0.3)
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    for axes in grid.flat[len(groups) :]:
        axes.remove()
    return figure, [_Panel(axes, *group) for axes, group in zip(grid.flat, groups.items(), strict=False)]


def _split(found: Iterable[Blocks]) -> tuple[list[Blocks], list[Blocks]]:
    """Single blocks, and sets of several."""
    ordered = sorted(set(found))
    return [blocks for blocks in ordered if len(blocks) == 1], [blocks for blocks in ordered if len(blocks) > 1]


def _place_blocks(axes: Axes, found: Iterable[Blocks]) -> dict[Blocks, float]:
    """Where blocks stand: single ones at their number, sets after a gap; the axis is labelled so."""
    single, sets = _split(found)
    deepest = single[-1][0] if single else 0
    # Names of sets are long: at steps of a block those of many would overlap.
    step = max(1.0, deepest / 12)
    first = deepest + 2 * step if single else 0.0
    places = {blocks: float(blocks[0]) for blocks in single}
    places |= {blocks: first + i * step for i, blocks in enumerate(sets)}
    if single and sets:
        axes.axvline(first - step, color="0.6", linewidth=0.8, linestyle=":")
    ticked = single[:: -(-len(single) // 13) or 1] + sets
    axes.set_xticks([places[blocks] for blocks in ticked], [name_blocks(blocks) for blocks in ticked], fontsize=9)
    for tick, blocks in zip(axes.get_xticklabels(), ticked, strict=True):
        if len(blocks) > 1:
            tick.set(rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_xlim(min(places.values()) - 0.7, max(places.values()) + 0.7)
    return places


def _draw(axes: Axes, places: Mapping[Blocks, float], scores: Mapping[Blocks, float], **style: Any) -> None:
    """A line over single blocks, and points alone for sets."""
    for is_set in (False, True):
        points = sorted((places[blocks], score) for blocks, score in scores.items() if (len(blocks) > 1) == is_set)
        own = {"linestyle": "", "marker": "D"} if is_set else {}
        if points:
            axes.plot([x for x, _ in points], [y for _, y in points], **style | own)


def draw_score_over_blocks(results: Sequence[HeadResult], metric: str) -> Figure:
    """The best score over the blocks that heads read, axes for each kind of head.

    Of one encoder there is a line per learning rate, and a broad grey one behind them for the best; of several there is
    a line for the best of each, with those of its learning rates faint. Sets of blocks stand at the right. Every point
    is the best over weight decays, seeds and whatever else heads differ in.

    Args:
        results: Heads to compare; few-shot heads are better left out. Those that diverged are not drawn.
        metric: Name of the score, which is in percent.

    Returns:
        A figure; ``.savefig(path)`` writes it.

    Raises:
        ValueError: There is no head.
    """
    results = [result for result in results if result.score is not None]
    figure, panels = _panels(_grouped(results, name_kind), f"{metric} in %", "block")
    encoders = dict(zip(_grouped(results, lambda spec: spec.encoder), cycle(COLOURS), strict=False))
    several = len(encoders) > 1
    rates = sorted({result.spec.lr for result in results})
    scale = matplotlib.colormaps["viridis"](np.linspace(0, _DARK_SHARE, len(rates)))
    # By the learning rate, in whose order they are listed; -1, the first, for what stands for no single one.
    handles: dict[tuple[float, str], Line2D] = {}
    for axes, title, members in panels:
        best = max(members, key=score_of)
        where = f"{plain(best.spec.encoder, 24)}, " * several + name_with_word(best.spec.blocks)
        axes.set_title(f"{title}: best {score_of(best):.1f} at {where}", fontsize=10)
        places = _place_blocks(axes, {one.spec.blocks for one in members})
        for encoder, own in _grouped(members, lambda spec: spec.encoder).items():
            label = plain(encoder) if several else "best"
            style: dict[str, Any] = {"color": "0.78", "linewidth": 7, "markersize": 11, "solid_capstyle": "round"}
            if several:
                style = {"color": encoders[encoder], "linewidth": 2, "marker": "o", "markersize": 5}
            _draw(axes, places, _best(own, lambda spec: spec.blocks), **style)
            handles[-1, label] = Line2D([], [], label=label, **style)
            for lr, alike in sorted(_grouped(own, lambda spec: spec.lr).items()):
                style = {"color": scale[rates.index(lr)], "linewidth": 1.5, "marker": "o", "markersize": 3.5}
                label = f"lr {lr:.3g}" if lr else "no lr"
                if several:
                    style = {"color": encoders[encoder], "linewidth": 0.8, "markersize": 3, "alpha": 0.35}
                else:
                    handles[lr, label] = Line2D([], [], label=label, **style)
                _draw(axes, places, _best(alike, lambda spec: spec.blocks), **style)
    legend_below(figure, [handles[key] for key in sorted(handles, key=lambda key: key[0])])
    return figure


def draw_score_over_lr(results: Sequence[HeadResult], metric: str) -> Figure:
    """The best score over the learning rate, a line per block or set of blocks, axes per encoder and kind of head.

    Every point is the best over weight decays, seeds and whatever else heads differ in.

    Args:
        results: Heads to compare; those without a learning rate, or that diverged, are not drawn, and those of an
            encoder and kind with a single one only if there are no others.
        metric: Name of the score, which is in percent.

    Returns:
        A figure; ``.savefig(path)`` writes it.

    Raises:
        ValueError: No head has a learning rate.
    """
    trained = [result for result in results if result.spec.lr > 0 and result.score is not None]
    several = len({result.spec.encoder for result in trained}) > 1
    groups = _grouped(trained, lambda spec: f"{plain(spec.encoder)}: {name_kind(spec)}" if several else name_kind(spec))
    swept = {title: members for title, members in groups.items() if len({one.spec.lr for one in members}) > 1}
    figure, panels = _panels(swept or groups, f"{metric} in %", "learning rate")
    single, sets = _split(result.spec.blocks for panel in panels for result in panel.results)
    dark = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, _DARK_SHARE, 256)))
    deepest = single[-1][0] if single else 0
    depth = ScalarMappable(Normalize(0, deepest or 1), dark)
    styles: dict[Blocks, dict[str, Any]] = {
        blocks: {"color": dark(blocks[0] / (deepest or 1)), "marker": "o", "markersize": 4, "linewidth": 1.3}
        for blocks in single
    }
    # Colours that are not on the scale of the depth.
    for blocks, colour, marker in zip(sets, cycle(COLOURS[3:] + COLOURS[1:2]), cycle(MARKERS[1:]), strict=False):
        styles[blocks] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.8, "linestyle": "--"}
    for axes, title, members in panels:
        axes.set_title(title, fontsize=10)
        axes.set_xscale("log")
        rates = sorted({one.spec.lr for one in members})
        axes.set_xticks(rates, [f"{lr:.3g}" for lr in rates], fontsize=8, rotation=45 if len(rates) > 4 else 0)
        axes.minorticks_off()
        if len(rates) == 1:  # Matplotlib's own choice would span many powers of ten.
            axes.set_xlim(rates[0] / 3, rates[0] * 3)
        of_blocks = _grouped(members, lambda spec: spec.blocks)
        for blocks in [one for one in single + sets if one in of_blocks]:
            scores = sorted(_best(of_blocks[blocks], lambda spec: spec.lr).items())
            axes.plot([lr for lr, _ in scores], [score for _, score in scores], **styles[blocks])
    if len(single) > 1:
        bar = figure.colorbar(depth, ax=[panel.axes for panel in panels], pad=0.01, aspect=30)
        bar.set_label("block")
        bar.locator = MaxNLocator(integer=True)
        bar.update_ticks()
    named = sets if len(single) > 1 else single + sets
    if named:
        legend_below(figure, [Line2D([], [], label=name_with_word(blocks), **styles[blocks]) for blocks in named])
    return figure
