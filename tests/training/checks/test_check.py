"""Configs that contradict themselves are refused before anything is read, and what the errors advise mends them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from internvl_seg.training import ConfigError
from internvl_seg.training.checks import check_config, scale_schedule
from internvl_seg.training.config import load_config

from ...error_table import DocumentedError
from .conftest import Read, advised

HEAD, LOSS, AUX = "model.decode_head", "model.decode_head.loss_decode", "model.auxiliary_head.0"
OHEM = {"type": "OHEMPixelSampler", "min_kept": 10}
TVERSKY = {"type": "TverskyLoss", "alpha": 0.0, "beta": 1.0}
LOVASZ = {"type": "LovaszLoss", "reduction": "none"}
EPOCHS = {"train_cfg": {"_delete_": True, "type": "EpochBasedTrainLoop", "max_epochs": 20}, "param_scheduler": []}


def keys(entry: dict[str, Any]) -> dict[str, Any]:
    """Multipliers of the encoder."""
    return {"custom_keys": {"backbone": entry}}


# What is wrong, the options that make it so, and whether what the error advises first mends it.
REFUSED: list[tuple[str, dict[str, Any], bool]] = [
    ("class weights are more than the classes", {f"{LOSS}.class_weight": [1.0, 2.0, 3.0, 4.0]}, True),
    ("class weights are fewer than an auxiliary head's classes", {f"{AUX}.loss_decode.0.class_weight": [1.0]}, True),
    ("a class weight is no number", {f"{LOSS}.class_weight": [1.0, -1.0, "x"]}, False),
    ("no class weighs anything", {f"{LOSS}.class_weight": [0.0, 0.0, 0.0]}, False),
    ("a file of class weights is not there", {f"{LOSS}.class_weight": "weights.npy"}, False),
    ("a file of class weights is a pickle", {f"{LOSS}.class_weight": "weights.pkl"}, False),
    ("a file holds other class weights", {f"{LOSS}.class_weight": "two.json"}, True),
    (
        "class weights of a head with one output",
        {
            f"{HEAD}.num_classes": 2,
            f"{HEAD}.out_channels": 1,
            f"{LOSS}.use_sigmoid": True,
            f"{LOSS}.class_weight": [1, 2],
        },
        True,
    ),
    ("alphas are not as many as the classes", {LOSS: {"type": "FocalLoss", "alpha": [0.3, 0.7]}}, True),
    ("one output with a softmax", {f"{HEAD}.num_classes": 2, f"{HEAD}.out_channels": 1}, True),
    (
        "one output with a loss of softmax alone",
        {f"{HEAD}.num_classes": 2, f"{HEAD}.out_channels": 1, LOSS: {"type": "TverskyLoss"}},
        True,
    ),
    ("one output of three classes", {f"{HEAD}.out_channels": 1, f"{LOSS}.use_sigmoid": True}, True),
    ("outputs that are no classes", {f"{HEAD}.out_channels": 5}, True),
    ("one class", {f"{HEAD}.num_classes": 1}, True),
    ("a threshold that nothing reads", {f"{HEAD}.threshold": 0.5}, True),
    (
        "a threshold that is no probability",
        {f"{HEAD}.num_classes": 2, f"{HEAD}.out_channels": 1, f"{HEAD}.threshold": 30, f"{LOSS}.use_sigmoid": True},
        True,
    ),
    ("a loss of instances' masks", {f"{LOSS}.use_mask": True}, True),
    ("a focal loss of softmax", {LOSS: {"type": "FocalLoss", "use_sigmoid": False}}, True),
    ("a Dice loss of what are no probabilities", {LOSS: {"type": "DiceLoss", "activate": False}}, True),
    ("a Lovasz loss with MMSegmentation's defaults", {LOSS: {"type": "LovaszLoss"}}, True),
    (
        "a binary Lovasz loss of several outputs",
        {LOSS: {"type": "LovaszLoss", "loss_type": "binary", "reduction": "none"}},
        True,
    ),
    ("a Tversky loss whose weights are not 1", {LOSS: {"type": "TverskyLoss", "alpha": 0.5}}, True),
    ("a loss that would only be printed", {f"{LOSS}.loss_name": "boundary"}, True),
    ("a loss of depth", {f"{LOSS}.type": "SiLogLoss"}, False),
    ("a loss of boundaries", {f"{AUX}.loss_decode.1.type": "BoundaryLoss"}, False),
    ("a head without ignored label", {f"{HEAD}.ignore_index": None}, True),
    (
        "a sampler for a loss that has no pixels",
        {f"{HEAD}.sampler": OHEM, LOSS: {"type": "LovaszLoss", "reduction": "none"}},
        True,
    ),
    ("a sampler by a loss that has many numbers a pixel", {f"{HEAD}.sampler": OHEM, f"{LOSS}.use_sigmoid": True}, True),
    ("a head that needs compiled operators", {f"{HEAD}.type": "CCHead"}, False),
    ("a head of MMDetection", {f"{HEAD}.type": "Mask2FormerHead"}, False),
    ("a head of another backbone", {f"{AUX}.type": "PIDHead"}, False),
    ("a head that refines another", {f"{AUX}.type": "OCRHead"}, False),
    ("a head reads a map that is not there", {f"{AUX}.in_index": 4}, True),
    ("a head reads maps of other channels", {f"{HEAD}.in_channels": [64] * 4}, True),
    ("a batch of one image with BatchNorm of one value", {"train_dataloader.batch_size": 1}, True),
    ("the best checkpoint is of no metric", {"default_hooks.checkpoint.save_best": "mDice"}, True),
    ("the best checkpoint is of a name in other letters", {"default_hooks.checkpoint.save_best": "miou"}, True),
    ("one of two best checkpoints is of no metric", {"default_hooks.checkpoint.save_best": ["mIoU", "mFscore"]}, False),
    ("a metric has a prefix", {"val_evaluator.prefix": "val"}, True),
    (
        "whether more of a metric is better is not known",
        {"val_evaluator.iou_metrics": ["mFscore"], "default_hooks.checkpoint.save_best": "mRecall"},
        True,
    ),
    ("a metric that MMSegmentation does not have", {"val_evaluator.iou_metrics": ["IoU"]}, False),
    ("early stopping watches no metric", {"custom_hooks": [{"type": "EarlyStoppingHook", "monitor": "loss"}]}, True),
    ("a validation that computes nothing", {"val_evaluator.format_only": True}, False),
    (
        "a schedule watches no metric",
        {"param_scheduler": [{"type": "ReduceOnPlateauLR", "rule": "greater"}]},
        True,
    ),
    (
        "early stopping takes a score for a loss",
        {"custom_hooks": [{"type": "EarlyStoppingHook", "monitor": "mIoU", "rule": "less"}]},
        True,
    ),
    (
        "a schedule takes a score for a loss",
        {"param_scheduler": [{"type": "ReduceOnPlateauLR", "monitor": "mIoU"}]},
        True,
    ),
    ("a loss ignores another label than its head", {LOSS: {"type": "OhemCrossEntropy", "ignore_label": 0}}, True),
    ("a schedule counts epochs, the loop iterations", {"param_scheduler.1.by_epoch": True}, True),
    ("a schedule is converted though it counts iterations", {"param_scheduler.1.convert_to_iter_based": True}, True),
    (
        "a schedule of one cycle is too short",
        {"param_scheduler": [{"type": "OneCycleLR", "eta_max": 1.0, "total_steps": 100, "by_epoch": False}]},
        True,
    ),
    ("an endless sampler in a loop of epochs", EPOCHS | {"default_hooks.checkpoint.interval": 1}, False),
    ("an evaluator's metrics are one text", {"val_evaluator.iou_metrics": "mIoU"}, True),
    ("an evaluator of another task", {"val_evaluator.type": "DepthMetric"}, True),
    ("an evaluator has a field that nothing reads", {"val_evaluator.iou_metric": ["mIoU"]}, False),
    ("an evaluator ignores no label but text", {"val_evaluator.ignore_index": "255"}, True),
    (
        "two evaluators compute a metric of one name",
        {"val_evaluator": [{"type": "IoUMetric"}, {"type": "IoUMetric", "iou_metrics": ["mDice"]}]},
        True,
    ),
    (
        "two metrics of one evaluator have one name",
        {"val_evaluator": {"type": "Evaluator", "metrics": [{"type": "IoUMetric"}, {"type": "IoUMetric"}]}},
        True,
    ),
    ("a validation has no end", {"val_dataloader.sampler.type": "InfiniteSampler"}, True),
    ("a validation leaves images out", {"val_dataloader.drop_last": True, "val_dataloader.batch_size": 4}, True),
    (
        "a run saves nothing",
        {"default_hooks.checkpoint": {"save_last": False, "interval": 90000, "save_best": None}},
        True,
    ),
    ("a checkpoint's name cannot be made", {"default_hooks.checkpoint.filename_tmpl": "it_{iter}.pth"}, False),
    ("a rule that is none", {"default_hooks.checkpoint.rule": "bigger"}, True),
    ("a training has no length", {"train_cfg.max_iters": None}, True),
    ("a loop has a type and by_epoch", {"train_cfg.by_epoch": False}, False),
    ("there is no optimizer", {"optim_wrapper.optimizer": None}, False),
    ("an optimizer needs a closure", {"optim_wrapper.optimizer.type": "LBFGS"}, True),
    ("an optimizer's name is misspelt", {"optim_wrapper.optimizer.type": "AdamWW"}, True),
    ("the batch of a learning rate is missing", {"auto_scale_lr": {"enable": True}}, True),
    ("a custom key is a number", {"optim_wrapper.paramwise_cfg": {"custom_keys": {"backbone": 0.1}}}, False),
    ("a multiplier is misspelt", {"optim_wrapper.paramwise_cfg": keys({"lr_mul": 0.1})}, False),
    ("a multiplier is text", {"optim_wrapper.paramwise_cfg": keys({"lr_mult": "0.1"})}, False),
    ("a multiplier is below zero", {"optim_wrapper.paramwise_cfg": keys({"decay_mult": -1.0})}, False),
    ("a custom key is part of every name", {"optim_wrapper.paramwise_cfg.custom_keys": {"": {"lr_mult": 2}}}, False),
    (
        "a constructor of learning rates is for another encoder",
        {
            "optim_wrapper.constructor": "LearningRateDecayOptimizerConstructor",
            "optim_wrapper.paramwise_cfg": {"decay_rate": 0.9, "decay_type": "layer_wise", "num_layers": 4},
        },
        True,
    ),
    (
        "a constructor of learning rates is misspelt",
        {"optim_wrapper.constructor": "LayerDecayWrapperConstructor"},
        True,
    ),
    ("initial values are for no layer", {f"{HEAD}.init_cfg": {"type": "Normal", "std": 0.01}}, False),
    ("initial values of no such kind", {f"{HEAD}.init_cfg": [{"type": "Normale", "layer": "Conv2d"}]}, False),
    (
        "a schedule that watches a metric counts iterations",
        {"param_scheduler": [{"type": "ReduceOnPlateauLR", "monitor": "mIoU", "rule": "greater", "by_epoch": False}]},
        True,
    ),
    ("a loss weighs less than nothing", {f"{LOSS}.loss_weight": -1.0}, True),
    ("a loss weighs nothing", {f"{AUX}.loss_decode.1.loss_weight": 0.0}, True),
    ("a loss weighs NaN", {f"{LOSS}.loss_weight": math.nan}, True),
    ("an alpha of two", {LOSS: {"type": "FocalLoss", "alpha": 2.0}}, True),
    ("a gamma below zero", {LOSS: {"type": "FocalLoss", "gamma": -1.0}}, True),
    ("a loss divides by nothing where all is ignored", {LOSS: {"type": "TverskyLoss", "smooth": 0.0}}, False),
    ("a loss is NaN where a class is missing", {LOSS: {**TVERSKY, "smooth": 0.0}}, False),
    ("a loss has no gradient at high logits", {LOSS: {"type": "FocalLoss", "gamma": 0.5}}, False),
    ("a loss has a reduction that is none", {f"{LOSS}.reduction": "avg"}, False),
    ("a loss is of a class that is not there", {LOSS: {**LOVASZ, "classes": [1, 9]}}, False),
    ("a loss per image is text", {LOSS: {**LOVASZ, "per_image": "yes"}}, True),
    ("a loss of another library", {LOSS: {"type": "torch.nn.CrossEntropyLoss"}}, True),
    ("a loss of images", {LOSS: {"type": "mmpretrain.LabelSmoothLoss", "label_smooth_val": 0.1}}, False),
    ("a head has no loss", {LOSS: []}, False),
    ("a loss is text", {LOSS: "DiceLoss"}, False),
    ("one of several losses is text", {f"{AUX}.loss_decode": ["DiceLoss"]}, False),
    ("a sampler of pixels takes no probability", {f"{HEAD}.sampler": {**OHEM, "thresh": 7}}, True),
    ("a checkpoint falls between accumulated gradients", {"optim_wrapper.accumulative_counts": 3}, False),
]


@pytest.mark.parametrize(("case", "options", "mends"), REFUSED)
def test_it_is_refused_and_the_advice_works(
    case: str, options: dict[str, Any], mends: bool, read: Read, documented_error: DocumentedError
) -> None:
    Path("two.json").write_text(json.dumps([1.0, 2.0]))
    config = read(options)
    with documented_error(case, ConfigError):
        check_config(config)
    if mends:
        with pytest.raises(ConfigError) as caught:
            check_config(config)
        mended = read(options)
        mended.merge_from_dict(advised(str(caught.value)))
        scale_schedule(mended)
        check_config(mended)


SILENT: list[dict[str, Any]] = [
    {},
    {"default_hooks.checkpoint.save_best": "auto"},
    {"default_hooks.checkpoint.save_best": "mAcc"},
    {"default_hooks.checkpoint.save_best": "val/mIoU", "val_evaluator.prefix": "val"},
    {
        "default_hooks.checkpoint.save_best": ["mIoU", "second/mDice"],
        "val_evaluator": [
            {"type": "IoUMetric"},
            {"type": "SegmentationMetric", "iou_metrics": ["mDice"], "prefix": "second"},
        ],
    },
    {"default_hooks.checkpoint.save_best": "own", "default_hooks.checkpoint.rule": "less", "val_evaluator.type": "Own"},
    {"custom_hooks": [{"type": "EarlyStoppingHook", "monitor": "mIoU"}]},
    {f"{LOSS}.class_weight": [1.0, 2.0, 3.0], f"{LOSS}.use_sigmoid": True},
    {f"{HEAD}.num_classes": 2, f"{HEAD}.out_channels": 1, f"{HEAD}.threshold": 0.4, f"{LOSS}.use_sigmoid": True},
    {f"{HEAD}.sampler": {**OHEM, "thresh": 0.7}},
    {"train_dataloader.batch_size": 1, f"{HEAD}.pool_scales": (2, 3)},
    {"train_dataloader.batch_size": 1, f"{HEAD}.norm_cfg.type": "GN"},
    {"optim_wrapper.paramwise_cfg": keys({"lr_mult": 0.0, "decay_mult": 2, "momentum": 0.5})},
    {"optim_wrapper.constructor": "own.Own", "optim_wrapper.paramwise_cfg": keys({"own": 1})},
    {f"{HEAD}.init_cfg": [{"type": "Normal", "layer": "Conv2d"}, {"type": "Constant", "val": 1, "layer": ["SyncBN"]}]},
    {"optim_wrapper.constructor": "LayerDecayOptimWrapperConstructor"},
    {"param_scheduler.1.eta_min": 0.5},
    {"param_scheduler.1.begin": 1502},
    {
        "param_scheduler": [
            {"type": "LinearLR", "by_epoch": False, "end": 1000},
            {"type": "ConstantLR", "factor": 1.0, "by_epoch": False, "begin": 1000, "end": 9000},
            {"type": "PolyLR", "by_epoch": False, "begin": 9000, "end": 80000},
            {"type": "PolyMomentum", "by_epoch": False, "begin": 40000, "end": 80000},
        ]
    },
    {f"{AUX}.loss_decode": [{"type": "CrossEntropyLoss"}, {"type": "CrossEntropyLoss", "loss_weight": 0.4}]},
    {"model.init_cfg": {"type": "Pretrained", "checkpoint": "weights.pth"}},
    {"param_scheduler.0.end": 100, "param_scheduler.1": {"type": "CosineAnnealingLR", "by_epoch": False}},
]


@pytest.mark.parametrize("options", SILENT)
def test_what_goes_together_is_silent(options: dict[str, Any], read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    check_config(read(options))
    assert not capsys.readouterr().out


def test_several_are_told_at_once(read: Read) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config(read({f"{HEAD}.out_channels": 5, "default_hooks.checkpoint.save_best": "mDice"}))
    assert "\n- default_hooks.checkpoint: save_best = 'mDice'" in str(caught.value)
    assert "\n- model.decode_head: out_channels = 5" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"train_cfg.max_iters": 40}, "inside the warm-up"),
        ({"val_dataloader": None}, "there is no validation"),
        ({"default_hooks.checkpoint": None}, "nothing of this run is saved"),
        ({"test_evaluator": {"type": "IoUMetric", "iou_metrics": "mIoU"}}, "expected a list"),
        ({"param_scheduler.1.eta_min": 2.0}, "would rise"),
        ({"param_scheduler": [{"type": "CosineAnnealingLR", "by_epoch": False, "eta_min_ratio": 1.5}]}, "would rise"),
        ({"param_scheduler.1.begin": 9000}, "meanwhile the learning rate stays"),
        (
            {LOSS: [{"type": "CrossEntropyLoss", "loss_name": "loss_x"}, {"type": "DiceLoss", "loss_name": "loss_x"}]},
            "only the sum of both",
        ),
        ({"train_cfg.val_begin": 90000}, "val_begin = 90000"),
        ({"default_hooks.checkpoint": {"_delete_": True, "type": "CheckpointHook", "interval": 5}}, "by_epoch = True"),
    ],
)
def test_what_may_be_meant_is_a_warning(
    options: dict[str, Any], told: str, read: Read, capsys: pytest.CaptureFixture[str]
) -> None:
    check_config(read(options))
    assert told in capsys.readouterr().out


def test_several_processes_take_statistics_together(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read({"train_dataloader.batch_size": 1})
    config.launcher = "pytorch"
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_config(config)
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(ConfigError, match="batch_size = 1"):
        check_config(config)


def test_every_training_config_goes_together(capsys: pytest.CaptureFixture[str]) -> None:
    """One of each schedule and kind of head."""
    configs = Path(__file__).resolve().parents[3] / "configs"
    for name in (
        "ade20k/internvit_6b_224px_linear_few-shot-1of16_ade20k-504x504.py",
        "ade20k/internvit_300m_448px_upernet_full_ade20k-504x504.py",
        "folder/internvit_300m_448px_v2_5_upernet_frozen_folder-504x504.py",
        "imagefolder/vit_s_linear_frozen_imagefolder-224x224.py",
        "imagenet/internvit_6b_224px_linear_frozen_imagenet-224x224.py",
        "hgsc_nest/internvit_tiny_fpn_scratch_hgsc_nest-252x252.py",
        "camvid/vit_s_linear_lora_camvid-378x504.py",
    ):
        check_config(load_config(configs / name))
    assert not capsys.readouterr().out
