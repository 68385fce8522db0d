"""A small segmentor with its config and checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from internvl_seg.inference import Segmenter

CONFIG = """
default_scope = 'mmseg'
model = dict(
    type='StreamingEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[120, 115, 100], std=[58, 57, 56], bgr_to_rgb=True, size=(16, 24)),
    backbone=dict(type='InternViT', arch=dict(embed_dim=8, depth=1, num_heads=2, patch_size=2, img_size=16)),
    decode_head=dict(type='LinearHead', in_channels=8, num_classes=4),
    test_cfg=dict(mode='whole'),
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(24, 16)),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=scale) for scale in ((24, 16), (32, 24))],
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]),
]
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='HGSCNestDataset', data_root='data', pipeline=test_pipeline,
        data_prefix=dict(img_path='images', seg_map_path='masks')))
"""
CLASSES = ["background", "connective", "inflammatory", "neoplastic"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def checkpoint(config: Path, tmp_path: Path) -> Path:
    """Weights that give every class some pixels."""
    init_default_scope("mmseg")
    torch.manual_seed(3)
    model = MODELS.build(Config.fromfile(config).model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    torch.save({"state_dict": model.state_dict(), "meta": {}}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def segmenter(config: Path, checkpoint: Path) -> Segmenter:
    return Segmenter.from_checkpoint(config, checkpoint, device="cpu")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An RGB picture of coarse blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return coarse.repeat(4, 0).repeat(4, 1)[:height, :width]
