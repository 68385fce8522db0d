"""How each class scores, and which classes are taken for which."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe and Ito's colours, which people with any colour vision tell apart; without yellow, too pale for lines.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
# Bars for more classes are too many to read: then only this many of the best and of the worst are drawn.
_MOST_BARS = 60
_ENDS = 25
# A cell of the confusion matrix of more classes is too small for a number, and of still more for a name beside it.
MOST_NUMBERS = 20
_MOST_NAMES = 60
_LONGEST_NAME = 32


def plain(name: str, longest: int = 80) -> str:
    """A name as Matplotlib has to be given it: cut off if it is longer, and its dollars no formulas."""
    short = name if len(name) <= longest else f"{name[: longest - 1]}…"
    return short.replace("$", r"\$")


def _order(values: NDArray[np.float64]) -> tuple[list[int], int]:
    """Classes to draw, from best to worst by the first column of (C, N), and how many occur at all."""
    there = np.flatnonzero(~np.isnan(values).all(axis=1))
    order: list[int] = sorted(there.tolist(), key=lambda i: -np.nan_to_num(values[i, 0], nan=-1))
    return (order if len(order) <= _MOST_BARS else order[:_ENDS] + order[-_ENDS:]), len(order)


def draw_per_class(
    classes: Sequence[str], columns: Mapping[str, Sequence[float | None]], label: str = "IoU in %"
) -> Figure:
    """Scores of every class as bars, from the best class to the worst.

    Args:
        classes: Names, C of them.
        columns: By a head's name, its score of every class in percent, (C,); None for a class that is not there. The
            classes are in the order of the first head's; three heads are still read easily. Of more than 60 classes
            the 25 best and the 25 worst are drawn.
        label: What the scores are.

    Returns:
        A figure; ``.savefig(path)`` writes it.

    Raises:
        ValueError: A head has another number of scores, or there is no head.
    """
    if not columns or any(len(column) != len(classes) for column in columns.values()):
        found = {name: len(column) for name, column in columns.items()}
        raise ValueError(f"There are {len(classes)} classes, but the heads' numbers of scores are {found}.")
    values = np.array([*columns.values()], np.float64).T
    shown, occurring = _order(values)
    # The worst are set off from the best, for what lies between is not drawn.
    places = np.arange(len(shown)) + 1.5 * ((np.arange(len(shown)) >= _ENDS) & (len(shown) < occurring))
    thickness = 0.8 / len(columns)
    height = max(0.2, 0.15 * len(columns) + 0.06) * (places.max(initial=0) + 1)
    figure = Figure(figsize=(9.6, height + 0.9 + 0.2 * len(columns)), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(columns):
        rows = places + (i - (len(columns) - 1) / 2) * thickness
        axes.barh(rows, values[shown, i], thickness, color=COLOURS[i % len(COLOURS)], label=plain(name))
        for row, value in zip(rows, values[shown, i], strict=True):
            text, end = ("–", 0.0) if np.isnan(value) else (f"{value:.1f}", value)
            axes.text(end + 0.6, row, text, va="center", fontsize=7)
    axes.set_yticks(places, [plain(classes[i], _LONGEST_NAME) for i in shown], fontsize=8)
    axes.set_ylim(places.max(initial=0) + 0.7, -0.7)
    axes.set_xlim(0, 106)
    axes.set_xticks(range(0, 101, 10))
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    notes = [f"the {_ENDS} best and the {_ENDS} worst of {occurring} classes"] * (len(shown) < occurring)
    notes += [f"{len(classes) - occurring} without a label and a prediction"] * (occurring < len(classes))
    axes.set_title("; ".join(notes), fontsize=9)
    if len(columns) > 1:
        figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8)
    return figure


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Percent of each true class that was predicted as each class.

    Args:
        confusion: (C, C): how many of true class i were predicted as class j.

    Returns:
        (C, C); every row sums to 100, or is NaN if nothing is of its class.
    """
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = 100 * confusion / confusion.sum(axis=1, keepdims=True)
    return shares


def _percent(share: float) -> str:
    return "" if np.isnan(share) or share == 0 else "<1" if share < 0.5 else f"{share:.0f}"


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """A confusion matrix as colours, in percent of each true class; with numbers for up to 20 classes.

    Args:
        confusion: (C, C): how many of true class i were predicted as class j. A class of which there are none is grey.
        classes: Names, C of them.

    Returns:
        A figure; ``.savefig(path)`` writes it.

    Raises:
        ValueError: The matrix has another size.
    """
    count = len(classes)
    if confusion.shape != (count, count):
        raise ValueError(f"The confusion matrix is {confusion.shape}, but there are {count} classes.")
    shares = row_shares(confusion)
    side = float(np.clip(0.36 * count + 2.4, 4.4, 9.6))
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, matplotlib.colormaps["Blues"].with_extremes(bad="0.8"), vmin=0, vmax=100)
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("% of the true class")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= _MOST_NAMES:
        size = 8 if count <= MOST_NUMBERS else 5.5
        names = [plain(name, _LONGEST_NAME) for name in classes]
        axes.set_xticks(range(count), names, rotation=90 if count > MOST_NUMBERS else 45, fontsize=size)
        if count <= MOST_NUMBERS:
            for tick in axes.get_xticklabels():
                tick.set(ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), names, fontsize=size)
    else:
        axes.set_xlabel("predicted, number of the class")
        axes.set_ylabel("true, number of the class")
    if count <= MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            axes.text(
                column, row, _percent(share), ha="center", va="center", fontsize=8, color="w" if share > 55 else "k"
            )
    return figure
