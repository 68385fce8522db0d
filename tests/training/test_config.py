"""Errors in a config name the file and the key."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from internvl_seg.training import ConfigError, evaluate, train
from internvl_seg.training.config import load_config

from ..error_table import DocumentedError

CONFIG = """
custom_imports = dict(imports=['internvl_seg'])
default_scope = 'mmseg'
data_root = 'tiny'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(28, 42)),
    backbone=dict(type='InternViT', arch=dict(embed_dim=32, depth=2, num_heads=2, img_size=42)),
    decode_head=dict(type='LinearHead', in_channels=32, num_classes=4),
)
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='HGSCNestDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images', seg_map_path='annotations'),
        pipeline=pipeline,
    ),
)
test_dataloader = dict(train_dataloader, sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = dict(type='IoUMetric')
test_cfg = dict(type='TestLoop')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config and one image with its mask, in the folder where the program runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(CONFIG)
    for folder, mode in (("images", "RGB"), ("annotations", "L")):
        (tmp_path / "tiny" / folder).mkdir(parents=True)
        Image.new(mode, (42, 28)).save(tmp_path / "tiny" / folder / "a.png")
    return Path("config.py")


def test_a_config_that_is_not_there(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("there is no such config", ConfigError):
        train("configs/unet.py")


def test_a_base_that_is_not_there(config: Path, documented_error: DocumentedError) -> None:
    Path("leaf.py").write_text("_base_ = './models/unet.py'\n")
    with documented_error("a config's _base_ is missing", ConfigError):
        train("leaf.py")


def test_a_syntax_error(config: Path, documented_error: DocumentedError) -> None:
    Path("broken.py").write_text("model = dict(\n    type='EncoderDecoder'\n    backbone=1)\n")
    with documented_error("a config has a syntax error", ConfigError):
        train("broken.py")


def test_data_that_is_not_there(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("the data are not where the config says", ConfigError):
        train(config, options={"data_root": "elsewhere"})


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("a config names an unknown module", {"model.backbone.type": "InternVit"}),
        ("a config has an unknown field", {"model.backbone.deptth": 3}),
        ("a config has a wrong value", {"model.backbone.dtype": "fp32"}),
        ("a config taps a block that is not there", {"model.backbone.out_indices": (2,)}),
        ("a config names an unknown transform", {"train_dataloader.dataset.pipeline": [{"type": "RandomFlipp"}]}),
        ("a config names an unknown head field", {"model.decode_head.num_convs": 1}),
    ],
)
def test_an_error_while_building_names_file_and_key(
    case: str, options: dict[str, Any], config: Path, documented_error: DocumentedError
) -> None:
    with documented_error(case, ConfigError):
        train(config, options=options)


def test_an_option_that_does_not_fit(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("--cfg-options does not fit the config", ConfigError):
        load_config(config, {"pipeline.7.type": "LoadImageFromFile"})


def test_data_root_moves_every_data_set(config: Path) -> None:
    moved = load_config(config, {"data_root": "elsewhere"})
    assert moved.train_dataloader.dataset.data_root == "elsewhere"
    assert moved.test_dataloader.dataset.data_root == "elsewhere"
    assert load_config(config, {"train_dataloader.dataset.data_root": "x"}).test_dataloader.dataset.data_root == "tiny"


def test_tta_needs_its_pipeline(config: Path, documented_error: DocumentedError) -> None:
    Path("model.pth").touch()
    with documented_error("--tta is asked of a config without tta_model", ConfigError):
        evaluate(config, "model.pth", tta=True)


def test_a_checkpoint_that_is_not_there(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("the checkpoint to test is not there", ConfigError):
        evaluate(config, "model.pth")


def test_amp_replaces_the_plain_wrapper_only(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("--amp is asked of a config that has another optimizer wrapper", ConfigError):
        train(config, amp=True, options={"optim_wrapper.type": "CPUAmpOptimWrapper"})


def test_a_base_of_a_copy_is_found(config: Path, documented_error: DocumentedError) -> None:
    Path("configs/_base_/models").mkdir(parents=True)
    Path("configs/_base_/models/own.py").write_text("")
    Path("copy.py").write_text("_base_ = ['../_base_/models/own.py']\n")
    with documented_error("a config was copied away from its _base_", ConfigError):
        train("copy.py")


def test_evaluators_are_looked_at_before_a_test(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("a test's metrics have one name", ConfigError):
        evaluate(config, "model.pth", options={"test_evaluator": [{"type": "IoUMetric"}] * 2})
    with documented_error("a test leaves images out", ConfigError):
        evaluate(config, "model.pth", options={"test_dataloader.drop_last": True, "test_dataloader.batch_size": 3})


def test_an_option_that_does_nothing(config: Path, documented_error: DocumentedError) -> None:
    with documented_error("an option is of a value that was taken already", ConfigError):
        train(config, options={"pipeline": []})
