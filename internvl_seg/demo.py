"""The demo: real images, a small training run, and an honest account of what it was worth.

Training and evaluation are the commands that a user would type; what they leave behind is scored a second time here,
beside two baselines on the same images.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from .data.baselines import score_baselines
from .data.confusion import confusion_counts, iou_per_class
from .data.folder import read_classes
from .data.sample_set import make_sample_set
from .encoder import get_release
from .training.config import load_config
from .visualization.overlay import draw_panel
from .visualization.results_page import ScoreTable, write_results_page

SCRATCH = "configs/hgsc_nest/internvit_tiny_segformer_scratch_hgsc_nest-252x252.py"
PROBE = "configs/hgsc_nest/encoder_linear_frozen_hgsc_nest-252x252.py"
SAMPLE_SET = Path("data/hgsc_nest")
OVERLAYS = 12

console = Console()


class DemoError(RuntimeError):
    """A step of the demo failed, or the trained model is no better than a baseline."""


class Sample(NamedTuple):
    """An image with its labels."""

    name: str
    image: NDArray[np.uint8]  # RGB, (H, W, 3)
    labels: NDArray[np.uint8]  # (H, W), 255 = ignored


def _read(dataset: dict[str, Any]) -> tuple[list[Sample], dict[str, Any]]:
    """Images and labels as training and evaluation see them before any transform, and the data set's classes."""
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    built = DATASETS.build({**dataset, "pipeline": pipeline})
    samples = [Sample(Path(s["img_path"]).stem, s["img"][..., ::-1], s["gt_seg_map"]) for s in built]
    highest = max((int(s.labels[s.labels != 255].max(initial=0)), s.name) for s in samples)
    if highest[0] >= len(built.metainfo["classes"]):
        raise DemoError(
            f"The mask of {highest[1]} under {dataset['data_root']} holds id {highest[0]}, but there are "
            f"{len(built.metainfo['classes'])} classes: {', '.join(built.metainfo['classes'])}. Ids count from 0; "
            "255 is for pixels to ignore."
        )
    return samples, built.metainfo


def _run(command: list[str]) -> float:
    """Run a command of the project in its own process and return its seconds."""
    console.print(f"[bold]$ python {shlex.join(command)}", soft_wrap=True)
    start = time.perf_counter()
    if code := subprocess.run([sys.executable, *command]).returncode:
        raise DemoError(f"python {command[0]} ended with exit code {code}; its last lines above say why.")
    return time.perf_counter() - start


def _options(data_root: Path | None, encoder: str | None, seed: int) -> dict[str, Any]:
    """What the command line changes in the config."""
    options: dict[str, Any] = {"data_root": str(data_root or SAMPLE_SET), "randomness.seed": seed}
    if data_root is not None:
        options |= {f"{split}_dataloader.dataset.type": "FolderDataset" for split in ("train", "test")}
        options["model.decode_head.num_classes"] = len(read_classes(data_root))
    if encoder is not None:
        options |= {
            "model.backbone.arch": encoder,
            "model.backbone.init_cfg.checkpoint": encoder,
            "model.decode_head.in_channels": get_release(encoder).embed_dim,
        }
    return options


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
        encoder: Release whose frozen features are probed; a small InternViT is trained from scratch if None.
        seed: Of the training.

    Returns:
        IoU per class of both baselines and of the model, which has the highest mIoU of the three.

    Raises:
        SampleSetError: The sample set cannot be made.
        FolderError: ``data_root`` is incomplete.
        ConfigError: The config cannot be read.
        ValueError: There is no such release.
        DemoError: A command failed, or the model does not beat both baselines.
    """
    if data_root is None:
        console.print(f"Sample images: {make_sample_set(SAMPLE_SET)}")
    config_file = SCRATCH if encoder is None else PROBE
    options = _options(data_root, encoder, seed)
    config: Config = load_config(config_file, options)
    init_default_scope("mmseg")
    train, _ = _read(config.train_dataloader.dataset)
    test, meta = _read(config.test_dataloader.dataset)
    classes, palette = meta["classes"], meta["palette"]
    console.print(f"{len(train)} images to train on, {len(test)} to test on, classes: {', '.join(classes)}")
    columns = score_baselines([s[1:] for s in train], [s[1:] for s in test], len(classes))

    # As typed: strings need no quotes and lists do not occur.
    overrides = ["--work-dir", str(work_dir), "--cfg-options", *(f"{key}={value}" for key, value in options.items())]
    train_command = ["tools/train.py", config_file, *overrides]
    train_seconds = _run(train_command)
    checkpoint = (work_dir / "last_checkpoint").read_text().strip()
    predictions = work_dir / "predictions"
    test_command = ["tools/test.py", config_file, checkpoint, "--out", str(predictions), *overrides]
    test_seconds = _run(test_command)

    results = json.loads((work_dir / "test_results.json").read_text())
    model = "InternViT" if encoder is None else encoder
    columns[model] = _score(test, predictions, len(classes), results["metrics"]["mIoU"])
    scores = ScoreTable(classes, columns)

    pictures = []
    (work_dir / "overlays").mkdir(exist_ok=True)
    for sample in test[:OVERLAYS]:
        pictures.append(work_dir / "overlays" / f"{sample.name}.png")
        prediction = _prediction(predictions, sample)
        draw_panel(sample.image, sample.labels, prediction, classes, palette, sample.name).savefig(pictures[-1])
    facts = {
        "data": f"{options['data_root']}: {len(train)} images to train on, {len(test)} to test on",
        "config": config_file,
        "seed": str(results["seed"]),
        "time": f"{train_seconds:.0f} s to train, {test_seconds:.0f} s to test, starting up included",
        "versions": ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
    }
    commands = [f"python {shlex.join(command)}" for command in (train_command, test_command)]
    page = work_dir / "index.html"
    write_results_page(page, f"{model} on {Path(options['data_root']).name}", facts, commands, scores, pictures)
    (work_dir / "scores.md").write_text(scores.markdown(), encoding="utf-8")
    _print(scores)
    console.print(f"Results page: {page}")
    _check_that_it_learned(scores, model)
    return scores


def _check_that_it_learned(scores: ScoreTable, model: str) -> None:
    means = scores.mean_iou()
    reached = means.pop(model)
    name, best = max(means.items(), key=lambda item: item[1])
    if not reached > best:
        raise DemoError(f"{model} reaches {reached:.1f} mIoU and does not beat the baseline '{name}' with {best:.1f}.")
