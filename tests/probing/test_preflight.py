"""Contradictions in a study are told before a feature is computed."""

from pathlib import Path

import pytest
from rich.console import Console

from internvl_seg.probing import probe
from internvl_seg.training import ConfigError

from .conftest import Run
from .test_classification import config as photos  # noqa: F401  (a fixture)

FOUR = [{"kind": "upernet", "blocks": [[0, 1, 2, 3]]}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe__repeat": {"best": 13}}, r"probe\.repeat\.best=13, but the study has 12 heads"),
        ({"probe__repeat": {"best": 1}, "probe__heads": [{"solver": "lbfgs"}]}, "has 0 heads"),
        ({"probe__heads": FOUR, "probe__batch_size": 1}, r"probe\.batch_size=1, but 'upernet' has a BatchNorm"),
        ({"probe__encoders": {"a": {}, "A": {}}}, r"'a' and 'A', which differ in capitals only"),
        ({"randomness__seed": -1}, r"randomness\.seed=-1 must be at least 0"),
        ({"randomness__seed": "x"}, r"randomness\.seed='x' is not a whole number"),
        ({"train_dataloader__dataset": None}, r"train_dataloader\.dataset is missing"),
        (
            {"train_dataloader__dataset__data_prefix": {"_delete_": True, "img_path": "images/train"}},
            r"train_dataloader\.dataset has no labels",
        ),
        (
            {"model__decode_head__loss_decode": {"type": "CrossEntropyLoss", "class_weight": [1, 2]}},
            r"config\.py: model\.decode_head\.loss_decode\.class_weight=\[1, 2\]: there are 2 weights for 4 classes",
        ),
        ({"model__decode_head__out_channels": 1}, r"model\.decode_head\.out_channels=1"),
    ],
)
def test_segmentation(run: Run, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**options)
    assert not Path("features").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"probe.heads": [{"kind": "knn", "neighbours": [1, 7]}]},
            r"neighbours holds 7, but there are 6 images \(2 a cla",
        ),
        ({"probe.few_shot.per_class": [6]}, "asks for 6 images of a class, but 'ant' has 5"),
        ({"probe.batch_size": 1}, "probe.batch_size=1, but 'linear' has a BatchNorm"),
        ({"model.head.loss": {"type": "LabelSmoothLoss"}}, r"model\.head\.loss=\{'type': 'LabelSmoothLoss'"),
        ({"model.train_cfg": {"augments": [{"type": "Mixup"}]}}, r"model\.train_cfg\.augments="),
    ],
)
def test_classification(photos: Path, options: dict[str, object], message: str) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match=message):
        probe(photos, work_dir="out", options=options, console=Console(quiet=True))
    assert not Path("features").exists()


def test_a_batch_of_more_images_than_there_are_is_told(config: Path) -> None:
    console = Console(record=True, width=300)
    probe(
        config, dry_run=True, options={"probe.few_shot.fractions": [0.25], "probe.few_shot.draws": 1}, console=console
    )
    assert "Note: probe.batch_size=4 is more than the 2 images (0.25 of the images, draw 0)" in console.export_text()
