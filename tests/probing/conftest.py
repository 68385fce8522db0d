"""A tiny frozen encoder, a few tiny images, and a config that probes one on the other."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from rich.console import Console

import internvl_seg
from internvl_seg.probing import probe
from internvl_seg.probing.commands import backbones
from internvl_seg.probing.encoder_features import EncoderFeatures
from internvl_seg.probing.frozen_encoder import FrozenEncoder
from internvl_seg.probing.planning import plan
from internvl_seg.probing.scored import Scored
from internvl_seg.probing.settings import ProbeSettings
from internvl_seg.probing.task import Task
from internvl_seg.training.config import load_config

CONFIG = """
custom_imports = dict(imports=['internvl_seg'])
default_scope = 'mmseg'
data_root = 'tiny'
model = dict(
    type='StreamingEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[120, 120, 120], std=[60, 60, 60], bgr_to_rgb=True, size=(28, 42)),
    backbone=dict(
        type='InternViT', frozen=True,
        arch=dict(embed_dim=32, depth=4, num_heads=2, img_size=42),
        init_cfg=dict(type='Pretrained', checkpoint='encoder.safetensors')),
    decode_head=dict(
        type='LinearHead', in_channels=32, num_classes=4, loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(84, 56), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(28, 42), cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='HGSCNestDataset', data_root=data_root, pipeline=train_pipeline,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train')),
)
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='HGSCNestDataset', data_root=data_root, pipeline=test_pipeline,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val')),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegmentationMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
randomness = dict(seed=3)
probe = dict(
    blocks=[0, -1, [1, 3]], views=2, iterations=20, batch_size=4, loss_stride=3,
    heads=[dict(kind='linear', lr=[1e-2, 1e-1], batch_norm=[True, False])],
    store=dict(folder='features', dtype='float32', batch_size=2, workers=0), pictures=0,
)
"""
Run = Callable[..., Scored]
MakeFeatures = Callable[..., set[Path]]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config, in the folder where the program runs, with twelve images whose parts differ in colour."""
    monkeypatch.chdir(tmp_path)
    Path("config.py").write_text(CONFIG)
    draw = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for folder in ("images", "annotations"):
            Path("tiny", folder, split).mkdir(parents=True)
        for i in range(count):
            labels = np.zeros((28 + 14 * (i % 2), 42 + 3 * (i % 3)), np.uint8)
            labels[:, 14 * (i % 2 + 1) :] = 1 + i % 3
            labels[:2] = 255
            image = np.stack([labels * 60, 255 - labels * 60, labels * 30], axis=-1)
            image = np.clip(image.astype(int) + draw.integers(-30, 30, image.shape), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(f"tiny/images/{split}/{i}.png")
            Image.fromarray(labels).save(f"tiny/annotations/{split}/{i}.png")
    save_encoder(Path("encoder.safetensors"), seed=0)
    init_default_scope("mmseg")
    return Path("config.py")


def save_encoder(path: Path, seed: int) -> None:
    """Random weights, in a file."""
    torch.manual_seed(seed)
    encoder = internvl_seg.InternViT(img_size=42, embed_dim=32, depth=4, num_heads=2, init_values=1.0)
    internvl_seg.export_encoder(encoder, path, to="official")


@pytest.fixture
def make_features(config: Path) -> MakeFeatures:
    """Make the features of a study with options over the config, and nothing of them; gives all stores there are."""

    @contextmanager
    def track(_name: str, _total: int) -> Iterator[Callable[[int], None]]:
        yield lambda _count: None

    def make(**options: object) -> set[Path]:
        found = load_config(config, {name.replace("__", "."): value for name, value in options.items()})
        settings, task = ProbeSettings.read(found.probe), Task(found, found.randomness.seed)
        for name, backbone in backbones(found, settings).items():
            encoder = FrozenEncoder(name, backbone, (-1,), task.seed)
            features = EncoderFeatures(task, settings, encoder, plan(settings, encoder, task.name), False, track)
            features.prepare(features.needs())
        return set(Path("features").iterdir())

    return make


@pytest.fixture
def run(config: Path) -> Run:
    """Run a study with options over the config; gives its heads."""

    def run(
        work_dir: str = "out",
        resume: bool = False,
        stream: bool = False,
        allow: Collection[str] = (),
        **options: object,
    ) -> Scored:
        dotted = {name.replace("__", "."): value for name, value in options.items()}
        given = {"work_dir": work_dir, "resume": resume, "stream": stream, "allow": allow}
        found = probe(config, **given, options=dotted, console=Console(quiet=True))
        assert found is not None
        return found

    return run
