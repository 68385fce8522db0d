"""A folder of images and masks in which nothing is wrong, and a config for it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIG = """
custom_imports = dict(imports=['internvl_seg'])
default_scope = 'mmseg'
data_root = 'data'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(28, 42), seg_pad_val=255),
    backbone=dict(type='InternViT', arch=dict(embed_dim=32, depth=2, num_heads=2, img_size=42)),
    decode_head=dict(type='LinearHead', in_channels=32, num_classes=3),
    auxiliary_head=dict(type='FCNHead', in_channels=32, channels=8, in_index=0, num_classes=3),
)
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='RandomCrop', crop_size=(28, 42)),
    dict(type='PackSegInputs'),
]
def loader(split):
    prefix = dict(img_path=f'images/{split}', seg_map_path=f'annotations/{split}')
    dataset = dict(
        type='BaseSegDataset', data_root=data_root, data_prefix=prefix, img_suffix='.png', seg_map_suffix='.png',
        metainfo=dict(classes=('sky', 'sea', 'land')), pipeline=pipeline)
    sampler = dict(type='InfiniteSampler' if split == 'train' else 'DefaultSampler')
    return dict(batch_size=1, num_workers=0, sampler=sampler, dataset=dataset)
train_dataloader = loader('train')
val_dataloader = loader('val')
test_dataloader = loader('val')
val_evaluator = dict(type='SegmentationMetric')
test_evaluator = dict(type='SegmentationMetric')
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=10)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
del loader
"""


def draw_set(names: Iterable[str], seed: int) -> None:
    """A sound data set in ``data``: images with masks in which every class is."""
    generator = np.random.default_rng(seed)
    for name in names:
        image = generator.integers(256, size=(30, 50, 3), dtype=np.uint8)
        mask = generator.integers(3, size=(30, 50), dtype=np.uint8)
        mask[:2] = 255
        for folder, content in (("images", image), ("annotations", mask)):
            path = Path("data", folder, f"{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three training images and one to validate on, where the program runs; every class is in each."""
    monkeypatch.chdir(tmp_path)
    Path("config.py").write_text(CONFIG)
    draw_set(("train/a", "train/b", "train/c", "val/d"), seed=0)
    return Path("data")
