"""Pipelines and normalisations that fail or ruin a training are told before an image is read."""

import math
from typing import Any

import pytest

from internvl_seg.training import ConfigError
from internvl_seg.training.checks import check_form

from ...error_table import DocumentedError
from .conftest import Read, refuse_form

LOAD, MASKS, PACK = ({"type": name} for name in ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs"))
RESIZE, CROP = {"type": "Resize", "scale": (42, 28)}, {"type": "RandomCrop", "crop_size": (28, 42)}
RANDOM, FLIP = {"type": "RandomResize", "scale": (42, 28), "ratio_range": (0.5, 2.0)}, {"type": "RandomFlip"}
ZERO, DATA = "model.data_preprocessor", "train_dataloader.dataset"
UNIT = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BYTES = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
NORMALIZE = {"type": "Normalize", "mean": [1, 2, 3], "std": [1, 1, 1]}


def steps(*middle: dict[str, Any]) -> dict[str, Any]:
    """A pipeline for training."""
    return {f"{DATA}.pipeline": [LOAD, MASKS, *middle, PACK]}


def preprocessor(**fields: Any) -> dict[str, Any]:
    return {f"{ZERO}.{name}": value for name, value in fields.items()}


# What is wrong, the options that make it so, and whether what the error advises first mends it.
REFUSED: list[tuple[str, dict[str, Any], bool]] = [
    ("a scale is text", steps({**RESIZE, "scale": "56"}), True),
    ("a scale is a word", steps({**RESIZE, "scale": "large"}), True),
    ("a scale is one number in brackets", steps({**RESIZE, "scale": (56,)}), True),
    ("a scale has three sides", steps({**RESIZE, "scale": (56, 56, 3)}), True),
    ("a scale is below zero", steps({**RESIZE, "scale": (-56, 56)}), True),
    ("a scale is of fractions", steps({**RESIZE, "scale": (56.0, 28.0)}), True),
    ("a scale that keeps the ratio is a list", steps({**RESIZE, "scale": [56, 28], "keep_ratio": True}, CROP), True),
    ("a scale factor is NaN", steps({"type": "Resize", "scale_factor": math.nan}), True),
    ("a random scale is a list", steps({**RANDOM, "scale": [42, 28]}), True),
    ("a range of ratios is the wrong way round", steps({**RANDOM, "ratio_range": (2.0, 0.5)}), True),
    ("a range of ratios begins at nothing", steps({**RANDOM, "ratio_range": (0.0, 0.01)}), True),
    ("the smallest random scale has no pixel", steps({**RANDOM, "ratio_range": (0.01, 2.0)}), True),
    ("a crop is text", steps({**CROP, "crop_size": "56"}), True),
    ("a crop is a list", steps({**CROP, "crop_size": [28, 42]}), True),
    ("a crop is smaller than a patch", steps({**CROP, "crop_size": (10, 10)}), True),
    ("a crop is no whole patches", steps({**CROP, "crop_size": (60, 60)}), True),
    ("a size is no whole patches", steps({**RESIZE, "scale": (42, 60)}, FLIP), True),
    ("a class may be more than all of a crop", steps({**CROP, "cat_max_ratio": 75}), True),
    ("a class may be nothing of a crop", steps({**CROP, "cat_max_ratio": 0}), True),
    ("a flip's probability is in percent", steps({**FLIP, "prob": 50}), True),
    (
        "a step that another chooses is wrong",
        steps({"type": "RandomChoice", "transforms": [[{**CROP, "crop_size": "28"}], [FLIP]]}),
        False,
    ),
    ("no step makes a sample", {f"{DATA}.pipeline": [LOAD, MASKS, RESIZE]}, False),
    ("no step reads the masks", {f"{DATA}.pipeline": [LOAD, RESIZE, PACK]}, False),
    ("no step reads the masks that are scored", {"val_dataloader.dataset.pipeline": [LOAD, PACK]}, False),
    ("no step reads the images", {f"{DATA}.pipeline": [MASKS, RESIZE, PACK]}, False),
    ("masks are read after a flip", {f"{DATA}.pipeline": [LOAD, FLIP, MASKS, PACK]}, False),
    ("batches have a size and a divisor", preprocessor(size_divisor=14), True),
    ("batches have no size", preprocessor(size=None), True),
    ("a mean is of one channel", preprocessor(mean=[1.0], std=[1.0, 1.0, 1.0]), True),
    ("a mean is of more channels than a deviation", preprocessor(mean=[1.0, 1.0, 1.0], std=[1.0, 1.0]), False),
    ("pixels are normalised on the scale 0 to 1", steps(RESIZE) | preprocessor(**UNIT), False),
    ("pixels are normalised twice", steps(RESIZE, NORMALIZE) | preprocessor(**BYTES), False),
]


@pytest.mark.parametrize(("case", "options", "mends"), REFUSED)
def test_it_is_refused_and_the_advice_works(
    case: str, options: dict[str, Any], mends: bool, read: Read, documented_error: DocumentedError
) -> None:
    refuse_form(case, options, mends, read, documented_error)


def mixed(inner: list[dict[str, Any]], outer: list[dict[str, Any]]) -> dict[str, Any]:
    """A data set that puts several images into one."""
    dataset = {"type": "FolderDataset", "pipeline": inner}
    return {DATA: {"_delete_": True, "type": "MultiImageMixDataset", "dataset": dataset, "pipeline": outer}}


@pytest.mark.parametrize(
    "options",
    [
        steps(RESIZE, {"type": "RandomFlip", "prob": 0.5}),
        steps({**RESIZE, "scale": 28}),
        steps({**RESIZE, "scale": [42, 28]}),
        steps({**RESIZE, "scale": (2016, math.inf), "keep_ratio": True}, CROP),
        steps({"type": "Resize", "scale_factor": (0.5, 2)}, CROP),
        steps({**RANDOM, "scale": [(42, 28), (84, 56)]}, CROP),
        steps({"type": "RandomChoiceResize", "scales": [28, 42], "resize_type": "ResizeShortestEdge", "max_size": 99}),
        steps({**CROP, "crop_size": (20, 42)}),  # Padded to a whole batch.
        steps({**CROP, "crop_size": 60}) | preprocessor(size=None, size_divisor=14),
        steps({**CROP, "crop_size": 60}, {"type": "ResizeToMultiple", "size_divisor": 14}),
        steps({**CROP, "crop_size": 60}, {"type": "Own"}),
        {f"{DATA}.pipeline": [{"type": "Own"}]},
        {f"{DATA}.pipeline": [LOAD, RESIZE, MASKS, PACK]},
        {"val_dataloader.dataset.pipeline": [LOAD, PACK], "val_evaluator.type": "Own"},
        mixed([LOAD, MASKS], [RESIZE, PACK]),
        steps(RESIZE) | preprocessor(**BYTES),
        steps({"type": "Rerange", "max_value": 1}) | preprocessor(**UNIT),
        steps({**NORMALIZE, "mean": [0, 0, 0], "std": [255, 255, 255]}) | preprocessor(**UNIT),
        steps(NORMALIZE),
    ],
)
def test_what_is_right_is_silent(options: dict[str, Any], read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    check_form(read(options), "train")
    assert not capsys.readouterr().out


def test_what_a_scale_of_bytes_would_be_mends_it(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"mean=\[123\.675,116\.28,103\.53\] \S+std=\[58\.395,57\.12,57\.375\]"):
        check_form(read(steps(RESIZE) | preprocessor(**UNIT)), "train")


def test_a_test_may_leave_masks_out_and_flip_before_them(read: Read) -> None:
    dataset = {"type": "FolderDataset", "pipeline": [LOAD, FLIP, PACK]}
    loader = {"batch_size": 1, "sampler": {"type": "DefaultSampler"}, "dataset": dataset}
    options = {"test_dataloader": loader, "test_evaluator": {"type": "IoUMetric"}, "test_cfg": {}}
    check_form(read(options | preprocessor(size=None)), "test")
    dataset["pipeline"] = [LOAD, FLIP]
    with pytest.raises(ConfigError, match="PackSegInputs"):
        check_form(read(options), "test")
