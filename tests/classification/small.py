"""A tiny classifier on photographs of three colours, as a config that is trained in seconds."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from internvl_seg import InternViT, export_encoder

from ..conftest import ROOT

CLASSES = ("ant", "bee", "cat")
ARCH = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": 42}
CONFIG = """
_base_ = "{root}/configs/imagefolder/vit_s_linear_frozen_imagefolder-224x224.py"
data_root = "photos"
vit_s = {arch}
model = dict(
    backbone=dict(dtype="float32", img_size=28, arch=dict(_delete_=True, **vit_s),
        init_cfg=dict(checkpoint="encoder.safetensors")),
    head=dict(num_classes=3, in_channels=32))
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=28, backend="pillow", interpolation="bicubic"),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"), dict(type="PackInputs")]
test_pipeline = [
    dict(type="LoadImageFromFile"), dict(type="ResizeEdge", scale=28), dict(type="CenterCrop", crop_size=28),
    dict(type="PackInputs")]
train_dataloader = dict(batch_size=4, num_workers={workers}, persistent_workers={persistent},
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
"""


def write(folder: Path, more: str = "", workers: int = 0) -> Path:
    """Write config, encoder and photographs into a folder; gives the config."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 3)):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                image = draw.integers(0, 120, (30, 44 + i, 3))
                image[..., label] += 100
                path = folder / "photos" / split / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(path)
    torch.manual_seed(0)
    export_encoder(InternViT(**ARCH, init_values=1.0), folder / "encoder.safetensors", to="official")
    config = folder / "config.py"
    config.write_text(CONFIG.format(root=ROOT, arch=ARCH, workers=workers, persistent=workers > 0) + more)
    return config
