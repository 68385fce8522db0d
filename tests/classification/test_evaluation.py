"""All variants by one command: the numbers are those that the predictions have been made for."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS

from internvl_seg import InternViT, export_encoder
from internvl_seg.data.preflight import DatasetError
from internvl_seg.training import ConfigError, evaluate
from internvl_seg.training.config import load_config, python_text
from tools import test as tool

from ..conftest import ROOT
from ..error_table import DocumentedError
from .conftest import ANALOG_CLOCK, DIGITAL_CLOCK, JELLYFISH, LION, TICK, WNID, Copies

CONFIG = ROOT / "configs/imagenet/internvit_6b_224px_linear_frozen_imagenet-224x224.py"
ARCH = {"embed_dim": 64, "depth": 2, "num_heads": 2, "img_size": 224}
INSIDE_A, OUTSIDE_A = JELLYFISH, 0  # ImageNet-A has jellyfish, and no tench.
# What is to be predicted of every image, most likely first, in the order in which the images are listed.
PREDICTED = {
    # Ticks, jellyfish, lions: right, second place, right, wrong, right, fourth place.
    "imagenet": [
        [TICK, 1, 2, 3, 4],
        [JELLYFISH, TICK, 2, 3, 4],
        [JELLYFISH, 1, 2, 3, 4],
        [1, 2, 3, 4, 5],
        [LION, 1, 2, 3, 4],
        [5, 6, 7, LION, 8],
    ],
    # Lions, ticks: right, wrong, right, right.
    "imagenet_v2": [[LION, 1, 2, 3, 4], [1, 2, 3, 4, 5], [TICK, 1, 2, 3, 4], [TICK, 2, 3, 4, 5]],
    # Jellyfish twice, lions twice. Classes that ImageNet-A lacks do not count: right, right, second place, right.
    "imagenet_a": [
        [INSIDE_A, 1, 2, 3, 4],
        [OUTSIDE_A, INSIDE_A, 1, 2, 3],
        [OUTSIDE_A, INSIDE_A, LION, 1, 2],
        [LION, 1, 2, 3, 4],
    ],
    # Jellyfish: wrong (the lion is a class of ImageNet-R), right.
    "imagenet_r": [[LION, JELLYFISH, 1, 2, 3], [JELLYFISH, 1, 2, 3, 4]],
    # Ticks: fifth place, wrong.
    "imagenet_sketch": [[1, 2, 3, 4, TICK], [1, 2, 3, 4, 5]],
    # Alarm clocks are analog or digital ones: right, right.
    "objectnet": [[DIGITAL_CLOCK, 1, 2, 3, 4], [ANALOG_CLOCK, 1, 2, 3, 4]],
}
# Counted by hand from the comments; ReaL's labels are below.
EXPECTED = {
    "imagenet/top1": 50.0,  # 3 of 6
    "imagenet/top5": 83.33,  # 5 of 6
    "imagenet_real/top1": 60.0,  # 3 of 5
    "imagenet_real/top5": 80.0,  # 4 of 5
    "imagenet_v2/top1": 75.0,  # 3 of 4
    "imagenet_v2/top5": 75.0,
    "imagenet_a/top1": 75.0,  # 3 of 4
    "imagenet_a/top5": 100.0,
    "imagenet_r/top1": 50.0,  # 1 of 2
    "imagenet_r/top5": 100.0,
    "imagenet_sketch/top1": 0.0,
    "imagenet_sketch/top5": 50.0,  # 1 of 2
    "objectnet/top1": 100.0,
    "objectnet/top5": 100.0,
}
# Right; right, though ImageNet says otherwise; right; without a label; wrong, as it is a tiger; in second place.
REAL = [[TICK], [JELLYFISH], [JELLYFISH, 1], [], [292], [9, 6]]
FOLDERS = {
    "imagenet": [WNID[i] for i in (TICK, JELLYFISH, LION)],
    "imagenet_v2": [str(LION), str(TICK)],
    "imagenet_a": [WNID[JELLYFISH], WNID[LION]],
    "imagenet_r": [WNID[JELLYFISH]],
    "imagenet_sketch": [WNID[TICK]],
    "objectnet": ["alarm_clock"],
}


def options(copies: Copies) -> dict[str, Any]:
    """What the config of the published row needs to read small copies with a small encoder."""
    found: dict[str, Any] = {
        "model.backbone.dtype": "float32",
        "model.backbone.init_cfg.checkpoint": str(copies.root / "encoder.safetensors"),
        "model.head.in_channels": 64,
        "test_evaluator.real_labels": str(copies.root / "real.json"),
        "test_dataloader.batch_size": 5,
        "test_dataloader.num_workers": 1,
    }
    for i, (variant, rows) in enumerate(PREDICTED.items()):
        key = f"test_dataloader.dataset.datasets.{i}"
        root = Config.fromfile(CONFIG).test_dataloader.dataset.datasets[i].data_root.removeprefix("data/")
        found |= {
            f"{key}.data_root": str(copies.root / root),
            f"{key}.folders": FOLDERS[variant],
            f"{key}.num_images": len(rows),
        }
    return found


@pytest.fixture
def small(copies: Copies) -> tuple[Copies, Path]:
    """Copies of all variants, and a checkpoint whose head gives the images the predictions above."""
    copies.imagenet()
    copies.real(REAL)
    copies.v2()
    copies.by_wnid("imagenet-a", (LION, JELLYFISH))
    copies.by_wnid("imagenet-r", (JELLYFISH,))
    copies.by_wnid("imagenet-sketch", (TICK,))
    copies.objectnet()
    torch.manual_seed(0)
    export_encoder(InternViT(**ARCH, init_values=1.0), copies.root / "encoder.safetensors", to="official")
    config = load_config(CONFIG, options(copies))
    config.model.backbone.arch = ARCH
    path = copies.root / "config.py"
    path.write_text(python_text(config))
    images = DATASETS.build(config.test_dataloader.dataset)
    model = MODELS.build(config.model).eval()
    pixels = model.data_preprocessor({"inputs": [images[i]["inputs"] for i in range(len(images))]})["inputs"]
    with torch.no_grad():
        pooled = model.head.pre_logits(model.extract_feat(pixels)).double()
    rows = [row for rows in PREDICTED.values() for row in rows]
    logits = torch.zeros(len(rows), 1000, dtype=torch.float64)
    for scores, row in zip(logits, rows, strict=True):
        scores[row] = torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0], dtype=torch.float64)
    mean, variance = pooled.mean(0), pooled.var(0)
    weight = torch.linalg.lstsq((pooled - mean) / (variance + 1e-6).sqrt(), logits - logits.mean(0)).solution.T
    norm = {"weight": torch.ones(128), "bias": torch.zeros(128), "running_mean": mean, "running_var": variance}
    head = {f"norm.{name}": tensor.float() for name, tensor in norm.items()}
    head |= {
        "norm.num_batches_tracked": torch.tensor(1),
        "head.weight": weight.float(),
        "head.bias": logits.mean(0).float(),
    }
    torch.save({"module": head}, copies.root / "intern_vit_head.pth")
    return copies, path


def run(small: tuple[Copies, Path], monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, Any]:
    """``tools/test.py`` on all variants; gives test_results.json."""
    copies, config = small
    monkeypatch.chdir(copies.root)
    monkeypatch.setattr(sys, "argv", ["test.py", str(config), "intern_vit_head.pth", "--work-dir", "out", *more])
    tool.main()
    return dict(json.loads(Path("out/test_results.json").read_text()))


def test_all_variants_by_one_command(
    small: tuple[Copies, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    results = run(small, monkeypatch)
    assert results["metrics"] == {name: pytest.approx(value, abs=0.005) for name, value in EXPECTED.items()}
    assert results["images"] == {name: len(rows) for name, rows in PREDICTED.items()} | {"imagenet_real": 5}
    table = [re.split(r"\s*│\s*", line.strip()) for line in capfd.readouterr().out.splitlines() if "│" in line]
    rows = {row[1]: row[2:-1] for row in table}
    assert rows["ImageNet-1K"] == ["6", "50.00", "83.33", "88.23", "98.47"]
    assert rows["ImageNet-ReaL"] == ["5", "60.00", "80.00", "90.44", "98.57"]
    assert rows["ImageNet-A"] == ["4", "75.00", "100.00", "77.48", "92.72"]
    assert rows["ObjectNet"] == ["2", "100.00", "100.00", "", ""]
    assert len(rows) == 7


def test_some_of_them(
    small: tuple[Copies, Path], monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    results = run(small, monkeypatch, "--only", "imagenet_a", "objectnet")
    assert results["images"] == {"imagenet_a": 4, "objectnet": 2}
    assert results["metrics"]["imagenet_a/top1"] == 75.0
    copies, config = small
    with documented_error("--only names no test set of the config", ConfigError):
        evaluate(config, copies.root / "intern_vit_head.pth", only=["imagenet_c"])


def test_damage_is_told_with_its_place_in_the_config(small: tuple[Copies, Path]) -> None:
    copies, config = small
    (copies.root / f"imagenet-r/{WNID[JELLYFISH]}/1.jpg").unlink()
    with pytest.raises(DatasetError, match=r"test_dataloader\.dataset\.datasets\[3\].*has 1 images, expected 2"):
        evaluate(config, copies.root / "intern_vit_head.pth", work_dir=str(copies.root / "out"))


def test_what_only_segmentors_have(small: tuple[Copies, Path], documented_error: DocumentedError) -> None:
    copies, config = small
    with documented_error("a classifier is asked for what only segmentors have", ConfigError):
        evaluate(config, copies.root / "intern_vit_head.pth", tta=True)
