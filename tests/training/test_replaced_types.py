"""A class that this package replaces is replaced however a config names it."""

from pathlib import Path
from typing import Any

import mmengine.hooks
import mmengine.visualization
import mmseg.evaluation
import mmseg.models
import pytest
from mmengine.config import Config

from internvl_seg.training.config import load_config
from internvl_seg.training.replaced_types import name_replaced_types

REPLACED = [
    (mmseg.evaluation.IoUMetric, "mmseg.IoUMetric"),
    ("mmseg.evaluation.IoUMetric", "mmseg.IoUMetric"),
    ("mmseg.evaluation.metrics.iou_metric.IoUMetric", "mmseg.IoUMetric"),
    ("mmseg.models.losses.DiceLoss", "mmseg.DiceLoss"),
    (mmseg.models.losses.TverskyLoss, "mmseg.TverskyLoss"),
    ("mmseg.models.decode_heads.DMHead", "mmseg.DMHead"),
    ("mmseg.datasets.transforms.LoadAnnotations", "mmseg.LoadAnnotations"),
    ("mmcv.transforms.LoadImageFromFile", "mmseg.LoadImageFromFile"),
    ("mmseg.models.SegDataPreProcessor", "mmseg.SegDataPreProcessor"),
    ("mmengine.visualization.LocalVisBackend", "LocalVisBackend"),
    (mmengine.hooks.CheckpointHook, "CheckpointHook"),
    ("mmengine.runner.IterBasedTrainLoop", "IterBasedTrainLoop"),
    ("mmengine.runner.loops.EpochBasedTrainLoop", "EpochBasedTrainLoop"),
]


@pytest.mark.parametrize(("kind", "name"), REPLACED)
def test_it_gets_its_registered_name(kind: Any, name: str) -> None:
    node = {"type": kind, "field": 1}
    name_replaced_types([node])
    assert node == {"type": name, "field": 1}


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "DiceLoss",
        "mmseg.DiceLoss",
        "mmseg.models.decode_heads.FCNHead",
        mmseg.models.decode_heads.FCNHead,
        mmseg.models.decode_heads.decode_head.BaseDecodeHead,  # Ours derive from it and have names of their own.
        "mmseg.models.losses.Nothing",
        "mmseg.no.such.module",
        "own.package.losses.DiceLoss",
        "torch.optim.AdamW",
    ],
)
def test_others_stay(kind: Any) -> None:
    node = {"type": kind}
    name_replaced_types([node])
    assert node == {"type": kind}


def test_a_class_of_the_same_name_is_not_theirs() -> None:
    class DiceLoss:
        pass

    DiceLoss.__module__ = "mmseg.models.own"
    node = {"type": DiceLoss}
    name_replaced_types([node])
    assert node["type"] is DiceLoss


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "pure.py",
            "from mmseg.evaluation import IoUMetric\nfrom mmseg.models.losses import DiceLoss, FocalLoss\n"
            "val_evaluator = [dict(type=IoUMetric)]\nmodel = dict(decode_head=dict(loss_decode=dict(type=DiceLoss)))\n",
        ),
        (
            "plain.py",
            "val_evaluator = [dict(type='mmseg.evaluation.IoUMetric')]\n"
            "model = dict(decode_head=dict(loss_decode=dict(type='mmseg.models.losses.DiceLoss')))\n",
        ),
    ],
)
def test_a_config_is_read_so(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    config = load_config(tmp_path / name)
    assert config.val_evaluator[0].type == "mmseg.IoUMetric"
    assert config.model.decode_head.loss_decode.type == "mmseg.DiceLoss"
    assert Config.fromstring(config.pretty_text, ".py").val_evaluator[0].type == "mmseg.IoUMetric"
