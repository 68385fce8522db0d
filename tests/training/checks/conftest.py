"""A config that contradicts itself nowhere, and what it says with some of its values replaced."""

import re
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from internvl_seg.training import ConfigError
from internvl_seg.training.checks import check_form
from internvl_seg.training.config import add_options, load_config

from ...error_table import DocumentedError

CONFIG = """
default_scope = 'mmseg'
model = dict(
    type='StreamingEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(28, 42)),
    backbone=dict(type='InternViT', arch=dict(embed_dim=32, depth=4, num_heads=2), out_indices=(0, 1, 2, 3)),
    decode_head=dict(
        type='UPerHead', in_channels=[32] * 4, in_index=[0, 1, 2, 3], channels=16, num_classes=3,
        norm_cfg=dict(type='SyncBN'), loss_decode=dict(type='CrossEntropyLoss')),
    auxiliary_head=[dict(
        type='FCNHead', in_channels=32, in_index=1, channels=16, num_classes=3, norm_cfg=dict(type='SyncBN'),
        loss_decode=[dict(type='CrossEntropyLoss'), dict(type='DiceLoss')])])
train_dataloader = dict(batch_size=2, sampler=dict(type='InfiniteSampler'), dataset=dict(type='FolderDataset'))
val_dataloader = dict(batch_size=1, sampler=dict(type='DefaultSampler'), dataset=dict(type='FolderDataset'))
val_cfg = dict(type='ValLoop')
val_evaluator = dict(type='SegmentationMetric', iou_metrics=['mIoU'])
train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=1000)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1000, save_best='mIoU'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=80001)]
"""
Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read the config in the folder where the program runs, with options over it."""
    monkeypatch.chdir(tmp_path)
    Path("config.py").write_text(CONFIG)
    return lambda options=None: load_config("config.py", options)


def advised(message: str) -> dict[str, Any]:
    """The first ``--cfg-options`` of a message, as the command line reads it."""
    found = re.search(r"--cfg-options (\S+?)[.,;]?(?:\s|$)", message)
    assert found is not None, message
    parser = ArgumentParser()
    add_options(parser)
    return dict(parser.parse_args(["--cfg-options", found[1]]).cfg_options)


def refuse_form(case: str, options: dict[str, Any], mends: bool, read: Read, documented_error: DocumentedError) -> None:
    """Expect the options to be refused for a training, and, if ``mends``, to be mended by what is advised first."""
    with documented_error(case, ConfigError):
        check_form(read(options), "train")
    if mends:
        with pytest.raises(ConfigError) as caught:
            check_form(read(options), "train")
        mended = read(options)
        mended.merge_from_dict(advised(str(caught.value)))
        check_form(mended, "train")
