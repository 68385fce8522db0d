"""Accuracies on ImageNet and its variants beside what was published."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from .variants import REAL_TITLE, VARIANTS


def rows(
    metrics: Mapping[str, float], counts: Mapping[str, int], published: Mapping[str, Any]
) -> Iterator[tuple[str, int, float, float, float | None, float | None]]:
    """One row a data set, in the order of papers.

    Args:
        metrics: ``<variant>/top1`` and ``<variant>/top5``, in percent.
        counts: Images by variant.
        published: Top-1 and, if known, top-5 by variant.

    Yields:
        Title, images, top-1, top-5, published top-1 and top-5.
    """
    titles = {"imagenet": VARIANTS["imagenet"].title, "imagenet_real": REAL_TITLE}
    for name, title in (titles | {name: row.title for name, row in VARIANTS.items()}).items():
        if name in counts:
            known = [*published.get(name, ()), None, None]
            yield title, counts[name], metrics[f"{name}/top1"], metrics[f"{name}/top5"], known[0], known[1]


def print_accuracies(
    metrics: Mapping[str, float],
    counts: Mapping[str, int],
    published: Mapping[str, Any],
    console: Console | None = None,
) -> None:
    """Print the table of :func:`rows`.

    Args:
        metrics: As for :func:`rows`.
        counts: As for :func:`rows`.
        published: As for :func:`rows`, with the ``source``.
        console: Where; the standard output if None.
    """
    table = Table(caption=f"Published: {published['source']}" if "source" in published else None)
    for name in ("", "images", "top-1", "top-5", "published top-1", "top-5"):
        table.add_column(name, justify="left" if not name else "right")
    for title, images, *accuracies in rows(metrics, counts, published):
        table.add_row(title, f"{images:,}", *("" if value is None else f"{value:.2f}" for value in accuracies))
    (console or Console()).print(table)
