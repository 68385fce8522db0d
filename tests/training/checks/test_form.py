"""Parts and fields of the wrong kind are told with their keys, before anything is built from them."""

from pathlib import Path
from typing import Any

import pytest

from internvl_seg.training import ConfigError
from internvl_seg.training.checks import check_form
from internvl_seg.training.config import load_config, python_text

from ...configs import CONFIGS
from ...configs import read as read_config
from ...error_table import DocumentedError
from .conftest import CONFIG, Read, refuse_form

HEAD, BACKBONE, TRAIN = "model.decode_head", "model.backbone", "train_dataloader"
# What is wrong, the options that make it so, and whether what the error advises first mends it.
REFUSED: list[tuple[str, dict[str, Any], bool]] = [
    ("hooks are a dict", {"custom_hooks": {"type": "EMAHook"}}, False),
    ("a hook is text", {"custom_hooks": ["EMAHook"]}, False),
    ("a hook has no type", {"custom_hooks": [{"momentum": 0.1}]}, False),
    ("a default hook is text", {"default_hooks.logger": "LoggerHook"}, False),
    ("a default hook has no type", {"default_hooks.logger": {"interval": 5}}, False),
    ("an evaluator is text", {"val_evaluator": "IoUMetric"}, False),
    ("a schedule is text", {"param_scheduler": "PolyLR"}, False),
    ("a schedule has no type", {"param_scheduler": {"end": 5}}, False),
    ("a sampler is text", {f"{TRAIN}.sampler": "InfiniteSampler"}, False),
    ("a step of a pipeline is text", {f"{TRAIN}.dataset.pipeline": ["LoadImageFromFile"]}, False),
    ("an optimizer is text", {"optim_wrapper.optimizer": "SGD"}, False),
    ("a start method is misspelt", {"env_cfg": {"mp_cfg": {"mp_start_method": "frok"}}}, True),
    ("a field of randomness is misspelt", {"randomness": {"sed": 3}}, False),
    ("a field of clipping is misspelt", {"optim_wrapper.clip_grad": {"maxnorm": 1}}, False),
    ("resume is text", {"resume": "no"}, True),
    ("compile is text", {"compile": "True"}, True),
    ("an argument of torch.compile is misspelt", {"compile": {"bakend": "eager"}}, False),
    ("a model's wrapper is misspelt", {"model_wrapper_cfg": {"type": "FulyShard"}}, True),
    ("load_from is a number", {"load_from": 3}, False),
    ("there is no model", {"model": None}, False),
    ("there is no training loop", {"train_cfg": None}, False),
    ("there is no optimizer wrapper", {"optim_wrapper": None}, False),
    ("a validation has no loop", {"val_cfg": None}, False),
    ("a validation has no evaluator", {"val_evaluator": None}, False),
    ("a loader has no data set", {f"{TRAIN}.dataset": None}, False),
    ("a loader has no sampler", {f"{TRAIN}.sampler": None}, False),
    ("a segmentor has no preprocessor", {"model.data_preprocessor": None}, False),
    ("a training of no iterations", {"train_cfg.max_iters": 0}, True),
    ("a training's length is text", {"train_cfg.max_iters": "80000"}, True),
    ("a training's length is no whole number", {"train_cfg.max_iters": 8e4}, True),
    ("a validation after every no iterations", {"train_cfg.val_interval": 0}, True),
    ("intervals are none", {"train_cfg.dynamic_intervals": [(0, 0)]}, True),
    ("a batch of no images", {f"{TRAIN}.batch_size": 0}, True),
    ("a batch's size is text", {f"{TRAIN}.batch_size": "2"}, True),
    ("fewer workers than none", {f"{TRAIN}.num_workers": -1}, True),
    ("a learning rate is text", {"optim_wrapper.optimizer.lr": "1e-3"}, True),
    ("a learning rate is NaN", {"optim_wrapper.optimizer.lr": float("nan")}, True),
    ("gradients are gathered over no steps", {"optim_wrapper.accumulative_counts": 0}, True),
    ("a seed is below zero", {"randomness": {"seed": -1}}, True),
    ("a schedule begins at a text", {"param_scheduler.0.begin": "0"}, True),
    ("a warm-up begins at nothing", {"param_scheduler.0.start_factor": 0}, True),
    ("all is dropped out", {f"{HEAD}.dropout_ratio": 1.0}, True),
    ("all paths are dropped", {f"{BACKBONE}.drop_path_rate": 1.0}, True),
    ("a head ignores several labels", {f"{HEAD}.ignore_index": [255, 3]}, True),
    ("a head's norm is text", {f"{HEAD}.norm_cfg": "BN"}, True),
    ("an encoder's width is text", {f"{BACKBONE}.arch.embed_dim": "32"}, True),
    ("a bad step stops after None", {"custom_hooks": [{"type": "NonFiniteStepHook", "stop_after": None}]}, True),
    ("colours are divided by zero", {"model.data_preprocessor.mean": [0], "model.data_preprocessor.std": [0]}, True),
    ("batches are no whole patches", {"model.data_preprocessor.size": (30, 42)}, True),
    (
        "a test's mode is misspelt",
        {"model.test_cfg": {"mode": "slidee", "crop_size": (28, 28), "stride": (14, 14)}},
        True,
    ),
    ("a test's windows have no stride", {"model.test_cfg": {"mode": "slide", "crop_size": (28, 28)}}, False),
    (
        "a test's windows leave pixels out",
        {"model.test_cfg": {"mode": "slide", "crop_size": (28, 28), "stride": (42, 14)}},
        True,
    ),
    ("a data set has no folder of images", {f"{TRAIN}.dataset.data_prefix": {"img": "images"}}, False),
    ("a data set's list is not there", {f"{TRAIN}.dataset.ann_file": "train.txt"}, False),
    ("a data set's pipeline is empty", {f"{TRAIN}.dataset.pipeline": []}, False),
    ("whether an encoder is frozen is text", {f"{BACKBONE}.frozen": "True"}, True),
    ("whether blocks are computed again is text", {f"{BACKBONE}.with_cp": "no"}, True),
    ("an encoder's maps are one number", {f"{BACKBONE}.out_indices": 3}, True),
    ("the seed of an encoder is a fraction", {f"{BACKBONE}.seed": 0.5}, True),
    ("a norm's momentum is text", {f"{HEAD}.norm_cfg.momentum": "0.1"}, True),
    ("a norm is misspelt", {f"{HEAD}.norm_cfg.type": "SynBN"}, True),
    ("an activation is misspelt", {f"{HEAD}.act_cfg": {"type": "Relu6"}}, True),
    ("whether a norm is trained is text", {f"{HEAD}.norm_cfg.requires_grad": "False"}, True),
    ("a field of a hook is text", {"custom_hooks": [{"type": "EMAHook", "momentum": "0.1"}]}, True),
    ("an optimizer's betas are text", {"optim_wrapper.optimizer": {"type": "AdamW", "betas": "0.9"}}, True),
    ("a backend of torch.compile is misspelt", {"compile": {"backend": "inducter"}}, True),
    ("a number of windows is text", {"model.test_cfg": {"window_batch": "4"}}, True),
    ("a loader's function is not there", {f"{TRAIN}.collate_fn": {"type": "pseudo_colate"}}, True),
    ("a loader's function is text", {f"{TRAIN}.collate_fn": "pseudo_collate"}, False),
    (
        "a data set with classes of its own has others",
        {f"{TRAIN}.dataset": {"type": "ADE20KDataset", "metainfo": {"classes": ["wall", "cell"]}}},
        False,
    ),
]


@pytest.mark.parametrize(("case", "options", "mends"), REFUSED)
def test_it_is_refused_and_the_advice_works(
    case: str, options: dict[str, Any], mends: bool, read: Read, documented_error: DocumentedError
) -> None:
    refuse_form(case, options, mends, read, documented_error)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"custom_hooks": []},
        {f"{BACKBONE}.frozen": True, f"{BACKBONE}.compiled": "auto", f"{BACKBONE}.img_size": [28, 42]},
        {f"{HEAD}.norm_cfg": {"type": "BN", "momentum": None, "requires_grad": False}},
        {f"{HEAD}.act_cfg": {"type": "mmpretrain.QuickGELU"}},
        {"custom_hooks": [{"type": "EMAHook", "momentum": 0.1}, {"type": "Own", "every": "day"}]},
        {"optim_wrapper.optimizer": {"type": "AdamW", "betas": (0.9, 0.99), "fused": True}},
        {"compile": True},
        {"compile": {"backend": "eager"}},
        {f"{TRAIN}.collate_fn": {"type": "default_collate"}},
        {"model_wrapper_cfg": {"find_unused_parameters": True}},
        {"model_wrapper_cfg": {"type": "FullyShard"}},
        {"model_wrapper_cfg": {"type": "MMDistributedDataParallel"}},
        {"default_hooks.logger": None},
        {"val_evaluator": [{"type": "IoUMetric"}]},
        {"param_scheduler": None},
        {f"{BACKBONE}.arch.img_size": (378, 504)},
        {f"{HEAD}.init_cfg": [{"type": "Normal", "override": {"name": "conv_seg"}}]},
        {"optim_wrapper.paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.1}}, "norm_decay_mult": 0.0}},
        {"optim_wrapper.constructor": "Own", "optim_wrapper.paramwise_cfg": {"own": 1}},
        {f"{TRAIN}.dataset": {"type": "ADE20KDataset", "metainfo": {"classes": ["wall", "sky"]}}},
        {"model.test_cfg": {"mode": "slide", "crop_size": (28, 28), "stride": (14, 14)}},
    ],
)
def test_what_is_right_is_silent(options: dict[str, Any], read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    check_form(read(options), "train")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_silent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_form(read_config(name), "train")
    check_form(read_config(name), "test")
    assert not capsys.readouterr().out


def test_schedules_of_several_optimizers(read: Read) -> None:
    config = read()
    config.param_scheduler = {"first": {"type": "PolyLR"}, "second": [{"type": "PolyLR"}]}
    check_form(config, "train")


def test_a_test_reads_nothing_of_the_training(read: Read) -> None:
    options = {"test_dataloader": read().val_dataloader, "test_evaluator": {"type": "IoUMetric"}, "test_cfg": {}}
    check_form(read(options | {"train_cfg.max_iters": 8e4}), "test")
    with pytest.raises(ConfigError, match="test_evaluator is missing"):
        check_form(read(options | {"test_evaluator": None}), "test")


def write_leaf(text: str) -> Path:
    """A config whose base puts a variable into a data set, and another one on top of it."""
    Path("base.py").write_text(
        "data_root = 'theirs'\n" + CONFIG + "train_dataloader['dataset']['data_root'] = data_root\n"
    )
    Path("leaf.py").write_text("_base_ = './base.py'\n" + text)
    return Path("leaf.py")


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("a data_root that was taken already", "data_root = 'mine'\n"),
        ("a field of a config is misspelt", "optim_wraper = dict(clip_grad=None)\n"),
    ],
)
def test_a_name_that_nothing_reads(case: str, text: str, read: Read, documented_error: DocumentedError) -> None:
    leaf = write_leaf(text)
    with documented_error(case, ConfigError):
        check_form(load_config(leaf), "train")


def test_a_name_that_something_reads_is_silent(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    text = "data_root = 'mine'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))\n"
    check_form(load_config(write_leaf(text)), "train")
    check_form(load_config(write_leaf(""), {"data_root": "mine"}), "train", ["data_root"])
    check_form(load_config(write_leaf("work_dir = '{{ _base_.data_root }}'\n")), "train")
    assert not capsys.readouterr().out
    check_form(load_config(write_leaf("note = 'of an experiment'\n")), "train")
    assert "note is read by nothing" in capsys.readouterr().out


def test_a_config_that_was_written_has_leftovers(read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(write_leaf("work_dir = '{{ _base_.data_root }}'\n"))
    config.test_pipeline, config.warm_up = [], 1500
    Path("written.py").write_text(python_text(config))
    check_form(load_config("written.py"), "train")
    assert not capsys.readouterr().out
    check_form(load_config("written.py", {"train_dataloader.dataset.data_root": "mine", "work_dir": "w"}), "train")
    assert "data_root is read by nothing" in capsys.readouterr().out


def test_an_option_that_nothing_reads(read: Read, documented_error: DocumentedError) -> None:
    with documented_error("an option is no field of a config", ConfigError):
        check_form(read({"max_iters": 5}), "train", ["max_iters"])
