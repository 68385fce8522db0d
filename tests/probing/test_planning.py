"""Which heads are trained."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from internvl_seg.probing.frozen_encoder import FrozenEncoder
from internvl_seg.probing.head_spec import HeadResult, HeadSpec
from internvl_seg.probing.planning import group, plan, repeats
from internvl_seg.probing.settings import ProbeSettings
from internvl_seg.training import ConfigError


@pytest.fixture(scope="module")
def encoder() -> FrozenEncoder:
    with torch.device("meta"):
        arch = {"embed_dim": 32, "depth": 6, "num_heads": 2}
        return FrozenEncoder("e", {"type": "InternViT", "arch": arch, "frozen": True}, (-1,))


def planned(encoder: FrozenEncoder, task: str = "segmentation", **probe: Any) -> list[HeadSpec]:
    return plan(ProbeSettings.read(probe), encoder, task)


def test_all_blocks_by_default(encoder: FrozenEncoder) -> None:
    assert [spec.blocks for spec in planned(encoder)] == [(i,) for i in range(6)]


def test_the_product_of_all_lists(encoder: FrozenEncoder) -> None:
    heads = [{"lr": [1, 2], "weight_decay": [0, 0.1, 0.2], "batch_norm": [True, False]}]
    few = {"fractions": [0.5, 1.0], "draws": 2}
    specs = planned(encoder, blocks=[-1, [0, 3]], heads=heads, seeds=[4, 5], few_shot=few)
    assert len(specs) == len({spec.name for spec in specs}) == 2 * 2 * 3 * 2 * 2 * (1 + 2 * 2)
    assert {spec.blocks for spec in specs} == {(5,), (0, 3)}
    groups = group(specs)
    assert {len(members) for members in groups} == {2 * 3}
    assert {len({replace(s, lr=0.0, weight_decay=0.0) for s in members}) for members in groups} == {1}


def test_solvers_without_a_learning_rate_or_a_seed_have_none(encoder: FrozenEncoder) -> None:
    heads = [
        {"solver": "lbfgs", "lr": [1, 2], "weight_decay": [0.1, 0.2]},
        {"kind": "ridge", "lr": [1, 2], "weight_decay": [1.0]},
        {"kind": "knn", "neighbours": [1, 5]},
    ]
    specs = planned(encoder, "classification", blocks=[0], heads=heads, seeds=[0, 1])
    assert [(spec.kind, spec.lr, spec.neighbours) for spec in specs] == [
        ("linear", 0, 0),
        ("linear", 0, 0),
        ("ridge", 0, 0),
        ("knn", 0, 1),
        ("knn", 0, 5),
    ]
    assert {spec.seed for spec in specs} == {0}


@pytest.mark.parametrize(
    ("task", "probe", "message"),
    [
        ("segmentation", {"heads": [{"kind": "knn"}]}, r"probe\.heads\[0\]\.kind='knn' is not for segmentation"),
        ("classification", {"heads": [{"kind": "mlp"}]}, "is not for classification"),
        ("segmentation", {"blocks": [6]}, r"probe\.blocks=\[6\].*outside this encoder of 6 blocks"),
        ("segmentation", {"blocks": [1], "heads": [{"kind": "upernet"}]}, "reads 4 blocks at a time"),
        ("segmentation", {"blocks": [[0, -6]]}, r"\(0, 0\) holds a block twice"),
        ("segmentation", {"few_shot": {"per_class": [1]}}, "use fractions"),
    ],
)
def test_heads_that_do_not_fit(encoder: FrozenEncoder, task: str, probe: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(encoder, task, **probe)


def test_heads_that_differ_have_names_that_do(encoder: FrozenEncoder) -> None:
    heads = [{"lr": [1e-3, 1.0000001e-3], "weight_decay": [0.1, 0.10000001]}]
    specs = planned(encoder, blocks=[0], heads=heads, few_shot={"fractions": [0.5, 0.50000001], "draws": 1})
    assert len({spec.name for spec in specs}) == len(specs) == 2 * 2 * 3


def test_the_best_are_repeated_with_the_seeds_they_lack(encoder: FrozenEncoder) -> None:
    specs = planned(encoder, heads=[{"lr": [1.0, 2.0]}])
    results = [HeadResult(spec, float(i), []) for i, spec in enumerate(specs)]
    settings = ProbeSettings.read({"repeat": {"best": 2, "seeds": [0, 1, 2]}})
    again = repeats(results, settings)
    assert [(s.blocks, s.lr, s.seed) for s in again] == [((5,), lr, seed) for lr in (2.0, 1.0) for seed in (1, 2)]
