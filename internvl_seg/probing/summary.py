"""What many heads come to: the best of each block, means over repeats, a table."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.writing import whole_file
from .head_spec import HeadResult, HeadSpec


@dataclass(frozen=True)
class Repeated:
    """Heads that differ in their seed, or in the draw of their images, alone.

    Attributes:
        spec: The first of them.
        scores: Of all of them, in percent.
    """

    spec: HeadSpec
    scores: tuple[float, ...]

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.scores)

    @property
    def mean(self) -> float:
        """Mean score."""
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float | None:
        """Sample standard deviation of the scores; None of one alone."""
        return statistics.stdev(self.scores) if self.n > 1 else None

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + (f" ± {self.std:.2f}" if self.std is not None else "")


def without_seeds(spec: HeadSpec) -> HeadSpec:
    """The same spec for all heads that differ in their seed, or in the draw of their images, alone."""
    return replace(spec, seed=0, subset=spec.subset and replace(spec.subset, seed=0))


def mean_and_std(results: Sequence[HeadResult]) -> list[Repeated]:
    """Put heads together that differ in their seed, or in the draw of their images, alone.

    Args:
        results: Heads, each once.

    Returns:
        Every group, those of a single head, too, in the order of their first heads.
    """
    groups: dict[HeadSpec, list[HeadResult]] = {}
    for result in results:
        groups.setdefault(without_seeds(result.spec), []).append(result)
    return [Repeated(members[0].spec, tuple(one.score for one in members)) for members in groups.values()]


def on_all_images(results: Sequence[HeadResult]) -> list[HeadResult]:
    """Heads that were trained on all images; all heads if there are none such."""
    return [result for result in results if result.spec.subset is None] or [*results]


def best_head(results: Sequence[HeadResult]) -> HeadResult:
    """The head with the highest score, of those trained on all images; of equals the first.

    Raises:
        ValueError: There is no head.
    """
    if not results:
        raise ValueError("There is no head to choose the best of.")
    return max(on_all_images(results), key=lambda result: result.score)


def best_by_blocks(results: Sequence[HeadResult]) -> list[HeadResult]:
    """The best head of each encoder and block, or set of blocks, of those trained on all images.

    Args:
        results: Heads.

    Returns:
        Encoders in the order of their first heads; of each, first the blocks in their order, then the sets.
    """
    best: dict[tuple[str, tuple[int, ...]], HeadResult] = {}
    for result in on_all_images(results):
        key = (result.spec.encoder, result.spec.blocks)
        if key not in best or result.score > best[key].score:
            best[key] = result
    encoders = list(dict.fromkeys(encoder for encoder, _ in best))
    order = sorted(best, key=lambda key: (encoders.index(key[0]), len(key[1]) > 1, key[1]))
    return [best[key] for key in order]


def write_tables(folder: Path, results: Sequence[HeadResult]) -> None:
    """Write ``results.csv``, a row per head with what :meth:`HeadResult.row` gives; None is an empty cell.

    Args:
        folder: Where to.
        results: Heads, at least one.
    """
    rows = [result.row() for result in results]
    with whole_file(folder / "results.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
