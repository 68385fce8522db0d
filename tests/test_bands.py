"""Four bands of 16 bits, of which the fourth alone carries the class, through train, test, infer and probe."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin

from internvl_seg import InternViT, Segmenter
from internvl_seg.data.bands import ImageError
from internvl_seg.data.gdal import gdal

from .commands import run_command
from .rasters import write_raster

CONFIG = """
default_scope = 'mmseg'
bands = BANDS
load = dict(type='LoadImageFromFile', bands=bands)
train_pipeline = [load, dict(type='LoadAnnotations'), dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
test_pipeline = [load, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
model = dict(
    type='StreamingEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[2000.0, 2000.0, 2000.0, 2000.0][:len(bands)],
        std=[500.0, 500.0, 500.0, 1000.0][:len(bands)], bgr_to_rgb=False, size=(28, 42)),
    backbone=dict(type='InternViT', in_chans=len(bands), ENCODER, arch=dict(
        embed_dim=32, depth=1, num_heads=2, patch_size=2, img_size=28, norm='layer_norm', qkv_bias=True,
        qk_norm=False)),
    decode_head=dict(type='LinearHead', in_channels=32, num_classes=2, loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
part = dict(type='FolderDataset', data_root='data')
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler'),
    dataset=dict(**part, pipeline=train_pipeline,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train')))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**part, pipeline=test_pipeline,
        data_prefix=dict(img_path='images/test', seg_map_path='annotations/test')))
test_dataloader = val_dataloader
val_evaluator = dict(type='SegmentationMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20, val_interval=20)
val_cfg, test_cfg = dict(type='ValLoop'), dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2))
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=20))
randomness = dict(seed=0)
probe = dict(
    blocks=[-1], views=1, iterations=30, batch_size=4, heads=[dict(kind='linear', lr=[1e-1], batch_norm=[True])],
    store=dict(folder='features', dtype='float32', batch_size=2, workers=0), pictures=1)
"""
PLACE = {"crs": "EPSG:32633", "transform": from_origin(500_000, 4_600_000, 10, 10)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of noise; where the class is 1, the fourth band is higher. The first three tell nothing."""
    folder = tmp_path_factory.mktemp("bands")
    for split, count in (("train", 6), ("test", 4)):
        for i in range(count):
            rng = np.random.default_rng(100 * count + i)
            ids = rng.integers(0, 2, (2, 3)).astype(np.uint8).repeat(14, 0).repeat(14, 1)
            ids[:14, :14], ids[14:, :14] = 0, 1
            pixels = rng.normal(2000, 500, (28, 42, 4))
            pixels[..., 3] = rng.normal(1000 + 2000.0 * ids, 300)
            pixels = pixels.clip(0, 65535).astype(np.uint16)
            write_raster(folder / f"data/images/{split}/{i}.tif", pixels, **PLACE)
            (folder / f"data/annotations/{split}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(ids).save(folder / f"data/annotations/{split}/{i}.png")
    (folder / "data/classes.txt").write_text("other\nplant\n")
    torch.manual_seed(0)
    encoder = InternViT(28, 2, 3, 32, 1, 2, norm="layer_norm", qkv_bias=True, qk_norm=False)
    torch.save(encoder.state_dict(), folder / "rgb.pth")
    return folder


def write_config(root: Path, name: str, bands: list[int], encoder: str = "frozen=False") -> Path:
    path = root / f"{name}.py"
    path.write_text(CONFIG.replace("BANDS", repr(bands)).replace("ENCODER", encoder))
    return path


def run(root: Path, tool: str, *arguments: object) -> str:
    done = run_command(tool, *arguments, cwd=root)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def score(root: Path, name: str, bands: list[int], encoder: str = "frozen=False") -> float:
    """Train and test; gives the mIoU of the test."""
    write_config(root, name, bands, encoder)
    run(root, "train.py", f"{name}.py", "--work-dir", name)
    run(root, "test.py", f"{name}.py", f"{name}/iter_20.pth", "--work-dir", name, "--show-dir", f"{name}/shown")
    assert len(list((root / name / "shown").glob("*.png"))) == 4
    return float(json.loads((root / name / "test_results.json").read_text())["metrics"]["mIoU"])


def test_four_bands_beat_their_rgb_twin(root: Path) -> None:
    four, three = score(root, "four", [1, 2, 3, 4]), score(root, "three", [1, 2, 3])
    print(f"mIoU of four bands {four:.1f}, of three {three:.1f}")
    assert four > 85
    assert three < 60
    rgb = "init_cfg=dict(type='Pretrained', checkpoint='rgb.pth')"
    widened = score(root, "widened", [1, 2, 3, 4], rgb)
    print(f"mIoU of four bands, from weights of RGB {widened:.1f}")
    assert widened > 85
    out = run(root, "infer.py", "four.py", "four/iter_20.pth", "data/images/test", "--out", "found")
    assert "4 files segmented" in out
    segmenter = Segmenter.from_checkpoint(root / "four.py", root / "four/iter_20.pth", device="cpu")
    right = []
    for i in range(4):
        ids = np.asarray(Image.open(root / f"data/annotations/test/{i}.png"))
        path = root / f"data/images/test/{i}.tif"
        with gdal("The labels cannot be read"), rasterio.open(root / f"found/labels/{i}.tif") as labels:
            assert labels.crs.to_string() == "EPSG:32633"
            right.append((labels.read(1) == ids).mean())
        with gdal("The picture cannot be read"), rasterio.open(path) as raster:
            pixels = np.moveaxis(raster.read(), 0, -1)
        found = segmenter(path).labels
        assert np.array_equal(segmenter(pixels).labels, found)
        assert np.array_equal(segmenter(torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)).labels, found)
        assert (found == ids).mean() > 0.9
        assert (root / f"found/overlays/{i}.jpg").is_file()
    assert min(right) > 0.9
    with pytest.raises(ImageError, match=r"An array is \(28, 42, 3\); the model takes \(H, W, 4\)"):
        segmenter(pixels[..., :3])


def test_a_probe_sees_the_fourth_band(root: Path) -> None:
    found = {}
    for name, bands, extra in (
        ("mean", [1, 2, 3, 4], "mean"),
        ("zero", [1, 2, 3, 4], "zero"),
        ("rgb", [1, 2, 3], "zero"),
    ):
        init = f"frozen=True, extra_bands='{extra}', init_cfg=dict(type='Pretrained', checkpoint='rgb.pth')"
        write_config(root, name, bands, init)
        out = run(root, "probe.py", f"{name}.py", "--work-dir", f"probe_{name}")
        assert ("Band 4 of the images is not read" in out) == (name == "zero")
        results = json.loads((root / f"probe_{name}/results.json").read_text())
        found[name] = max(head["score"] for head in results["heads"])
    print(found)
    assert found["mean"] > 60
    assert found["mean"] > found["rgb"] + 5
    # With zeros for the fourth band the features are those of RGB, bit by bit.
    assert found["zero"] == found["rgb"]
