"""What many heads come to: the best of each block, means over repeats, a table."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from ..data.writing import whole_file
from .head_spec import HeadResult, HeadSpec


@dataclass(frozen=True)
class Repeated:
    """Heads that differ in their seed, or in the draw of their images, alone.

    Attributes:
        spec: The first of them.
        scores: Of all that did not diverge, in percent; at least one.
        diverged: How many diverged.
    """

    spec: HeadSpec
    scores: tuple[float, ...]
    diverged: int = 0

    @property
    def n(self) -> int:
        """How many have a score."""
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
        told = f"{self.mean:.2f}" + (f" ± {self.std:.2f}" if self.std is not None else "")
        # A mean over those that are left would be too good.
        return f"{told} ({self.diverged} more diverged)" if self.diverged else told


def without_seeds(spec: HeadSpec) -> HeadSpec:
    """The same spec for all heads that differ in their seed, or in the draw of their images, alone."""
    return replace(spec, seed=0, subset=spec.subset and replace(spec.subset, seed=0))


def mean_and_std(results: Sequence[HeadResult]) -> list[Repeated]:
    """Put heads together that differ in their seed, or in the draw of their images, alone.

    Args:
        results: Heads, each once.

    Returns:
        Every group of which a head has a score, those of a single head, too, in the order of their first heads.
    """
    groups: dict[HeadSpec, list[HeadResult]] = {}
    for result in results:
        groups.setdefault(without_seeds(result.spec), []).append(result)
    found = []
    for members in groups.values():
        scores = tuple(one.score for one in members if one.score is not None)
        if scores:
            found.append(Repeated(members[0].spec, scores, len(members) - len(scores)))
    return found


def with_score(results: Sequence[HeadResult]) -> list[HeadResult]:
    """Heads that did not diverge."""
    return [result for result in results if result.score is not None]


def score_of(result: HeadResult) -> float:
    """The score of a head, below all others if it diverged."""
    return -inf if result.score is None else result.score


def on_all_images(results: Sequence[HeadResult]) -> list[HeadResult]:
    """Heads with a score that were trained on all images; all with a score if there are none such."""
    there = with_score(results)
    return [result for result in there if result.spec.subset is None] or there


def best_head(results: Sequence[HeadResult]) -> HeadResult:
    """The head with the highest score, of those trained on all images; of equals the first.

    Raises:
        ValueError: There is no head, or all diverged.
    """
    if not (there := on_all_images(results)):
        raise ValueError("There is no head to choose the best of.")
    return max(there, key=score_of)


def best_by_encoder(results: Sequence[HeadResult]) -> dict[str, HeadResult]:
    """The best head of each encoder of which one has a score, as :func:`best_head` chooses it."""
    own: dict[str, list[HeadResult]] = {}
    for result in with_score(results):
        own.setdefault(result.spec.encoder, []).append(result)
    return {encoder: best_head(heads) for encoder, heads in own.items()}


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
        if key not in best or score_of(result) > score_of(best[key]):
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
