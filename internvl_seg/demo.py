"""The demo: real images, a small training run, and an honest account of what it was worth.

Training and evaluation are the commands that a user would type; what they leave behind is scored a second time here,
beside two baselines on the same images.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from .checkpoints.architecture import find_architecture
from .checkpoints.encoder_file import EncoderFile
from .checkpoints.sources import open_source
from .data.baselines import score_baselines
from .data.confusion import confusion_counts, iou_per_class
from .data.folder import class_weights, read_classes
from .data.sample_set import make_sample_set
from .data.samples import Sample, read_samples
from .training.config import load_config
from .visualization.overlay import draw_panel
from .visualization.results_page import ScoreTable, write_results_page

SCRATCH = "configs/hgsc_nest/internvit_tiny_fpn_scratch_hgsc_nest-252x252.py"
PROBE = "configs/hgsc_nest/encoder_linear_frozen_hgsc_nest-252x252.py"
SAMPLE_SET = Path("data/hgsc_nest")
OVERLAYS = 12

console = Console()


class DemoError(RuntimeError):
    """A step of the demo failed, or the model is no better than a baseline on the sample set."""


def _run(command: list[str]) -> float:
    """Run a command of the project in its own process and return its seconds."""
    console.print(f"[bold]$ python {shlex.join(command)}", soft_wrap=True)
    start = time.perf_counter()
    if code := subprocess.run([sys.executable, *command]).returncode:
        raise DemoError(f"python {command[0]} ended with exit code {code}; its last lines above say why.")
    return time.perf_counter() - start


def _configure(config_file: str, data_root: Path | None, encoder: str | None) -> Config:
    """A config of the demo, with one's own images and encoder put in."""
    options: dict[str, Any] = {}
    if data_root is not None:
        options |= {f"{split}_dataloader.dataset.type": "FolderDataset" for split in ("train", "test")}
        options |= {"data_root": str(data_root), "model.decode_head.num_classes": len(read_classes(data_root))}
    config = load_config(config_file, options)
    if encoder is not None:
        arguments = find_architecture(EncoderFile.find(open_source(encoder)), {})
        config.model.backbone.arch = arguments
        config.model.backbone.init_cfg.checkpoint = encoder
        config.model.decode_head.in_channels = arguments["embed_dim"]
    return config


def _score(samples: list[Sample], predictions: Path, num_classes: int, reported: float) -> NDArray[np.float64]:
    """IoU per class of the predictions that tools/test.py wrote, checked against the mIoU that it reported."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    for sample in samples:
        counts += confusion_counts(sample.labels, _prediction(predictions, sample), num_classes)
    iou = iou_per_class(counts)
    if abs(np.nanmean(iou) - reported) > 0.01:  # mmseg rounds to two digits
        raise DemoError(
            f"The predictions in {predictions} score {np.nanmean(iou):.2f} mIoU, but tools/test.py reported "
            f"{reported:.2f}: the two do not agree on the labels. Please report this."
        )
    return iou


def _prediction(predictions: Path, sample: Sample) -> NDArray[np.uint8]:
    return np.asarray(Image.open(predictions / f"{sample.name}.png"))


def _print(scores: ScoreTable) -> None:
    table = Table(*scores.header())
    for column in table.columns[1:]:
        column.justify = "right"
    *rows, mean = scores.rows()
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*mean, style="bold")
    console.print(table)


def run_demo(work_dir: Path, data_root: Path | None = None, encoder: str | None = None, seed: int = 0) -> ScoreTable:
    """Make the sample set, train, evaluate, score the baselines, and write ``index.html`` with overlays.

    Runs from the project's folder, where ``tools`` and ``configs`` are.

    Args:
        work_dir: Where everything that the demo makes goes, except for the sample set (``data/hgsc_nest``).
        data_root: Folder of one's own images (:mod:`internvl_seg.data.folder`); the sample set if None.
        encoder: Release, hub id or file whose frozen features are probed; a small InternViT is trained from scratch if
            None.
        seed: Of the training.

    Returns:
        IoU per class of both baselines and of the model.

    Raises:
        SampleSetError: The sample set cannot be made.
        FolderError: ``data_root`` is incomplete or a mask does not fit.
        ConfigError: The config cannot be read.
        CheckpointError: The encoder cannot be read.
        DemoError: A command failed, or the model does not beat both baselines on the sample set; on images of one's
            own that is only said.
    """
    if data_root is None:
        console.print(f"Sample images: {make_sample_set(SAMPLE_SET)}")
    config_file = SCRATCH if encoder is None else PROBE
    config = _configure(config_file, data_root, encoder)
    train, _ = read_samples(config.train_dataloader.dataset)
    test, meta = read_samples(config.test_dataloader.dataset)
    classes, palette = meta["classes"], meta["palette"]
    console.print(f"{len(train)} images to train on, {len(test)} to test on, classes: {', '.join(classes)}")
    columns = score_baselines([s[1:] for s in train], [s[1:] for s in test], len(classes))

    if data_root is not None:
        config.model.decode_head.loss_decode.class_weight = class_weights([s.labels for s in train], len(classes))
    if data_root is not None or encoder is not None:
        config_file = str(work_dir / "config" / "demo.py")  # not in work_dir itself, where MMEngine writes its copy
        Path(config_file).parent.mkdir(parents=True, exist_ok=True)
        config.dump(config_file)
    common = ["--work-dir", str(work_dir), "--cfg-options", f"randomness.seed={seed}"]
    train_command = ["tools/train.py", config_file, *common]
    train_seconds = _run(train_command)
    checkpoint = (work_dir / "last_checkpoint").read_text().strip()
    predictions = work_dir / "predictions"
    test_command = ["tools/test.py", config_file, os.path.relpath(checkpoint), "--out", str(predictions), *common]
    test_seconds = _run(test_command)

    results = json.loads((work_dir / "test_results.json").read_text())
    model = "InternViT" if encoder is None else Path(encoder).stem
    columns[model] = _score(test, predictions, len(classes), results["metrics"]["mIoU"])
    scores = ScoreTable(classes, columns)

    pictures = []
    for sample in test[:OVERLAYS]:
        pictures.append(work_dir / "overlays" / f"{sample.name}.png")
        pictures[-1].parent.mkdir(parents=True, exist_ok=True)
        prediction = _prediction(predictions, sample)
        draw_panel(sample.image, sample.labels, prediction, classes, palette, sample.name).savefig(pictures[-1])
    facts = {
        "data": f"{config.data_root}: {len(train)} images to train on, {len(test)} to test on",
        "config": config_file,
        "seed": str(results["seed"]),
        "time": f"{train_seconds:.0f} s to train, {test_seconds:.0f} s to test, starting up included",
        "versions": ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
    }
    commands = [f"python {shlex.join(command)}" for command in (train_command, test_command)]
    page = work_dir / "index.html"
    write_results_page(page, f"{model} on {Path(config.data_root).resolve().name}", facts, commands, scores, pictures)
    (work_dir / "scores.md").write_text(scores.markdown(), encoding="utf-8")
    _print(scores)
    console.print(f"Results page: {page}")
    _compare_with_baselines(scores, model, must_win=data_root is None)
    return scores


def _compare_with_baselines(scores: ScoreTable, model: str, must_win: bool) -> None:
    """Say it when the model does not beat both baselines, as an error if it had to."""
    means = scores.mean_iou()
    reached = means.pop(model)
    name, best = max(means.items(), key=lambda item: item[1])
    if reached > best:
        return
    shortfall = (
        f"{model} reaches {reached:.1f} mIoU and does not beat the baseline '{name}' with {best:.1f}. More images "
        "or iterations (train_cfg.max_iters in the config) may help, or released weights (--encoder)."
    )
    if must_win:
        raise DemoError(shortfall)
    console.print(f"[yellow]{shortfall}")
