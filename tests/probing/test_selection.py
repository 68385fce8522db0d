"""A head that is chosen on some images is reported on others."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.probing.head_spec import HeadResult, HeadSpec
from internvl_seg.probing.select_settings import Select
from internvl_seg.probing.selection import Selection, _deal, plan_selection, score_on_folds
from internvl_seg.probing.validation import accuracy_and_mean
from internvl_seg.training import ConfigError

from .conftest import Run


def head(name: str) -> HeadResult:
    spec = HeadSpec(name, "linear", (0,), "adamw", 0.1, 0.0, True, 0, None, 0, 0)
    return HeadResult(spec, 50.0, [None, None])


def counts(*right_of_ten: int) -> np.ndarray[Any, Any]:
    """Of every fold ten images, so many of which are right."""
    return np.array([[[right, 10 - right, 0], [0, 0, 0], [0, 0, 0]] for right in right_of_ten])


def test_each_fold_is_scored_by_the_best_of_the_others() -> None:
    selection = Selection("folds", np.array([0, 1]))
    results = [head("a"), head("b")]
    found = score_on_folds(results, [counts(9, 2), counts(4, 6)], selection, accuracy_and_mean)
    # On fold 1 b is better (6 of 10), so b scores fold 0 (4); on fold 0 a is (9), so a scores fold 1 (2).
    assert found.score == 30.0
    assert [name.split("_")[0] for name in found.chosen] == [results[1].spec.name.split("_")[0], "a"]


def test_heads_of_chance_are_not_reported_above_chance() -> None:
    draw = np.random.default_rng(0)
    results = [head(f"head{i}") for i in range(200)]
    drawn = [counts(*draw.binomial(10, 0.5, size=10)) for _ in results]
    selection = Selection("folds", np.arange(10))
    best = max(accuracy_and_mean(one.sum(0))[1] for one in drawn)
    found = score_on_folds(results, drawn, selection, accuracy_and_mean)
    assert best > 60 > found.score
    assert found.score == pytest.approx(50, abs=10)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=12), st.integers(2, 6), st.booleans())
def test_groups_are_not_cut_and_no_fold_is_empty(sizes: list[int], folds: int, in_turn: bool) -> None:
    groups, start = [], 0
    for size in sizes:
        groups.append(list(range(start, start + size)))
        start += size
    fold_of = _deal(groups, min(folds, len(groups)), start, in_turn)
    assert all(len(set(fold_of[members])) == 1 for members in groups)
    assert 2 <= len(set(fold_of)) <= folds
    assert set(fold_of) == set(range(fold_of.max() + 1))
    if not in_turn:
        assert (np.diff(fold_of) >= 0).all()


@pytest.mark.parametrize("in_turn", [True, False])
def test_folds_are_of_about_equal_size(in_turn: bool) -> None:
    assert np.bincount(_deal([[i] for i in range(10)], 5, 10, in_turn)).tolist() == [2] * 5
    assert np.bincount(_deal([[i] for i in range(11)], 3, 11, in_turn)).max() == 4
    large_first = [list(range(6)), *([i] for i in range(6, 12))]
    assert np.bincount(_deal(large_first, 2, 12, False)).tolist() == [6, 6]


def task(val: list[str], test: list[str] | None = None, is_dense: bool = True) -> Any:
    def infos(dataset: list[str]) -> list[dict[str, str]]:
        return [{"img_path": path} for path in dataset]

    config = SimpleNamespace(filename="c.py", get=lambda _name: test)
    paths = [Path(path).resolve() for path in test or ()]
    return SimpleNamespace(
        val=val, train=["t/1.png"], infos=infos, test_images=lambda: paths, config=config, is_dense=is_dense
    )


FRAMES = [f"v/{scene}_{i}.png" for scene in "abc" for i in range(3)]


def test_a_third_split_is_used_where_there_is_one() -> None:
    assert plan_selection(Select(), task(FRAMES, ["w/1.png"])).on == "val"
    assert plan_selection(Select(on="folds"), task(FRAMES, ["w/1.png"])).on == "folds"
    own = plan_selection(Select(), task(FRAMES, ["w/1.png", "v/a_1.png"]))
    assert own.on == "folds"
    assert "shares 1 images with val_dataloader" in own.note
    assert "train_dataloader" in plan_selection(Select(), task(FRAMES, ["t/1.png"])).note
    assert plan_selection(Select(), task(FRAMES)).note == ""


def test_groups_are_told_by_the_path() -> None:
    found = plan_selection(Select(folds=5, group=r"v/(\w)_"), task(FRAMES))
    assert found.fold_of.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert plan_selection(Select(folds=2), task(FRAMES, is_dense=False)).fold_of.tolist() == [0, 1] * 4 + [0]


@pytest.mark.parametrize(
    ("select", "test", "said"),
    [
        (Select(on="val"), None, "it is that of val_dataloader, or missing"),
        (Select(on="val"), ["v/a_1.png"], "it shares 1 images with val_dataloader"),
        (Select(group="v"), None, "are one group by probe.select.group='v'"),
        (Select(group="x_"), None, "probe.select.group='x_' is nowhere in"),
    ],
)
def test_what_cannot_be_told_apart(select: Select, test: list[str] | None, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        plan_selection(select, task(FRAMES, test))


def test_a_study_reports_on_the_test_images(run: Run) -> None:
    for folder in ("images", "annotations"):
        shutil.copytree(f"tiny/{folder}/val", f"tiny/{folder}/third")
    prefix = {"img_path": "images/third", "seg_map_path": "annotations/third"}
    heads = [{"kind": "linear", "lr": [1e-2, 1e-1]}]
    scored = run(probe__heads=heads, test_dataloader__dataset__data_prefix=prefix)
    found = json.loads(Path("out/results.json").read_text())
    best = max(scored.results, key=lambda result: result.score or 0)
    assert found["chosen_on"] == "val"
    assert found["reported"]["chosen"] == [best.spec.name]
    # The same pictures under other names: the same score.
    assert found["reported"]["score"] == pytest.approx(best.score, abs=0.011)
    assert found["reported"]["per_class"] == pytest.approx(best.per_class, abs=0.011)
    assert "on the test images" in Path("out/index.html").read_text()


def test_a_study_without_test_images_reports_on_folds(run: Run) -> None:
    scored = run(probe__heads=[{"kind": "linear", "lr": [1e-2, 1e-1]}], probe__select={"folds": 2})
    found = json.loads(Path("out/results.json").read_text())
    assert found["chosen_on"] == "folds"
    assert len(found["reported"]["chosen"]) == 2
    assert found["reported"]["score"] <= max(result.score or 0 for result in scored.results)
    assert all(count.shape == (2, 5, 5) for count in scored.counts)
    assert "2 folds of the validation images" in Path("out/index.html").read_text()
