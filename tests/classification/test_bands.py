"""Image labels of pictures of four bands of 16 bits, of which the fourth alone carries the class."""

import json
from pathlib import Path

import numpy as np
import pytest

from internvl_seg.training import ConfigError, evaluate, train

from ..rasters import write_raster
from .small import write

FOUR = """
load = dict(type="LoadImageFromFile", bands=[1, 2, 3, 4])
model["data_preprocessor"] = dict(mean=[2000.0] * 4, std=[500.0, 500.0, 500.0, 500.0], to_rgb=False)
model["backbone"].update(in_chans=4, extra_bands="mean")
train_pipeline = [load, dict(type="RandomFlip", prob=0.5, direction="horizontal"), dict(type="PackInputs")]
test_pipeline = [
    load, dict(type="ResizeEdge", scale=28), dict(type="CenterCrop", crop_size=28), dict(type="PackInputs")]
train_dataloader["dataset"].update(data_root="bands", pipeline=train_pipeline)
val_dataloader["dataset"].update(data_root="bands", pipeline=test_pipeline)
optim_wrapper = dict(optimizer=dict(lr=3e-2))
train_cfg = dict(max_epochs=20, val_interval=20)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 12), ("val", 8)):
        for i in range(count):
            pixels = np.random.default_rng(count * 100 + i).normal(2000, 500, (28, 28, 4))
            pixels[..., 3] += 3000 * (i % 2) - 1500
            write_raster(tmp_path / f"bands/{split}/{'ab'[i % 2]}/{i}.tif", pixels.clip(0, 65535).astype(np.uint16))
    path = write(tmp_path)
    path.write_text(path.read_text().replace("head=dict(num_classes=3", "head=dict(num_classes=2") + FOUR)
    return path


def test_the_fourth_band_tells_the_class(config: Path) -> None:
    train(config, work_dir="run")
    evaluate(config, max(Path("run").glob("iter_*.pth")), work_dir="test")
    assert json.loads(Path("test/test_results.json").read_text())["metrics"]["accuracy/top1"] == 100


def test_steps_of_8_bits_are_refused_before_training(config: Path) -> None:
    config.write_text(config.read_text() + 'train_pipeline.insert(1, dict(type="RandomResizedCrop", scale=28, ')
    config.write_text(config.read_text() + 'backend="pillow"))\n')
    with pytest.raises(ConfigError, match=r"backend = 'pillow' takes pictures of 8 bits.*backend=cv2"):
        train(config, work_dir="run")
    assert not Path("run").exists()
