"""A config that tests plan and train."""

from pathlib import Path

import pytest

CONFIG = """
custom_imports = dict(imports=['internvl_seg'])
default_scope = 'mmseg'
data_preprocessor = dict(
    type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True,
    size=(224, 224))
model = dict(
    type='StreamingEncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='InternViT', arch=dict(embed_dim=384, depth=3, num_heads=6), img_size=224, out_indices=(0, 1, 1, 2)),
    neck=dict(type='FeaturePyramid', embed_dim=384),
    decode_head=dict(
        type='UPerHead', in_channels=[384] * 4, in_index=[0, 1, 2, 3], channels=64, num_classes=19,
        norm_cfg=dict(type='BN')),
    auxiliary_head=dict(
        type='FCNHead', in_channels=384, in_index=1, channels=64, num_convs=1, num_classes=19,
        norm_cfg=dict(type='BN')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_dataloader = dict(batch_size=3)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(layer_decay_rate=0.95))
"""


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UperNet on an encoder of four blocks that is tuned."""
    path = tmp_path_factory.mktemp("planning") / "config.py"
    path.write_text(CONFIG)
    return path
