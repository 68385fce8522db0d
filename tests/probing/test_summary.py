import csv
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from internvl_seg.probing.head_spec import HeadResult, HeadSpec, Subset
from internvl_seg.probing.summary import (
    best_by_blocks,
    best_by_encoder,
    best_head,
    mean_and_std,
    on_all_images,
    write_tables,
)

SPEC = HeadSpec("vit", "linear", (3,), "adamw", 1e-3, 0.01, True, 0)


def result(score: float, **fields: object) -> HeadResult:
    return HeadResult(replace(SPEC, **fields), score, [score, None])


def test_heads_that_differ_in_their_seed_or_draw_alone_are_one_group() -> None:
    seeds = [result(score, seed=seed) for seed, score in enumerate([50.1, 52.7, 49.9])]
    draws = [result(score, subset=Subset(0.1, None, seed)) for seed, score in enumerate([20.0, 23.0])]
    others = [result(40.0, lr=1e-2), result(41.0, blocks=(4,)), result(42.0, batch_norm=False)]
    others += [result(43.0, subset=Subset(0.2, None, 0)), result(44.0, encoder="b"), result(45.0, weight_decay=0.0)]
    # Whatever their order.
    groups = mean_and_std([seeds[0], *draws, *others, *seeds[1:]])
    assert [group.n for group in groups] == [3, 2, 1, 1, 1, 1, 1, 1]
    assert groups[0].spec == SPEC
    assert groups[0].scores == (50.1, 52.7, 49.9)
    assert groups[0].mean == pytest.approx(statistics.mean([50.1, 52.7, 49.9]))
    assert groups[0].std == pytest.approx(statistics.stdev([50.1, 52.7, 49.9]))
    assert groups[1].std == pytest.approx(3 / 2**0.5)
    assert groups[2].std is None
    assert [str(group) for group in groups[:3]] == ["50.90 ± 1.56", "21.50 ± 2.12", "40.00"]


def test_the_best_of_each_encoder_and_blocks() -> None:
    results = [result(10.0, blocks=(10,)), result(30.0, blocks=(2, 5)), result(20.0, blocks=(2,))]
    results += [result(21.0, blocks=(2,), kind="mlp"), result(19.0, blocks=(2,), seed=1)]
    results += [result(99.0, blocks=(2,), subset=Subset(0.5, None, 0)), result(5.0, blocks=(2,), encoder="a")]
    best = best_by_blocks(results)
    assert [(one.spec.encoder, one.spec.blocks, one.score) for one in best] == [
        ("vit", (2,), 21.0),
        ("vit", (10,), 10.0),
        ("vit", (2, 5), 30.0),
        ("a", (2,), 5.0),
    ]
    assert best_head(results).score == 30.0


def test_few_shot_heads_alone_are_compared_with_one_another() -> None:
    results = [result(1.0, subset=Subset(0.5, None, 0)), result(2.0, subset=Subset(0.5, None, 1))]
    assert on_all_images(results) == results
    assert best_head(results).score == 2.0
    assert best_head([result(7.0, seed=1), result(7.0, seed=2)]).spec.seed == 1
    with pytest.raises(ValueError, match="no head"):
        best_head([])


def test_heads_that_diverged_are_never_best() -> None:
    lost = HeadResult(replace(SPEC, seed=2), None, [None, None], diverged=True)
    results = [lost, result(50.0), result(52.0, seed=1), result(99.0, encoder="b", blocks=(1,))]
    (first, second) = mean_and_std(results)
    assert (first.scores, first.diverged, str(first)) == ((50.0, 52.0), 1, "51.00 ± 1.41 (1 more diverged)")
    assert (second.n, second.diverged) == (1, 0)
    assert mean_and_std([lost]) == []
    assert best_head(results).score == 99.0
    assert {name: one.score for name, one in best_by_encoder(results).items()} == {"vit": 52.0, "b": 99.0}
    assert [one.score for one in best_by_blocks(results)] == [52.0, 99.0]
    with pytest.raises(ValueError, match="no head"):
        best_head([lost])


def test_the_table_has_a_row_per_head(tmp_path: Path) -> None:
    results = [result(50.125), result(20.0, encoder='a "b", c', blocks=(2, 5), subset=Subset(None, 5, 3))]
    write_tables(tmp_path / "new", results)
    with (tmp_path / "new/results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["results.csv"]
    for row, one in zip(rows, results, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in one.row().items()}
    assert rows[1]["subset"] == "5 a class, draw 3"
    assert float(rows[0]["score"]) == 50.125
