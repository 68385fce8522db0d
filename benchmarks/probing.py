"""Probing: features once and all heads on them, against training the head with the frozen encoder in the loop.

``python benchmarks/probing.py --data CAMVID --weights VIT_S`` prints Markdown tables, in about an hour on two cores;
without the two, the last one only:

1. the official linear probe (63 epochs of batch 16, as 80,000 iterations on ADE20K) on CamVid, against ``train`` of the
   same config on a shorter schedule of as many samples for both, and its seconds a step from there on;
2. what more heads cost;
3. what augmented views are worth, and cost;
4. features in 8 bits;
5. what fewer compared pixels and products in bfloat16 save, and cost;
6. the same for the 6B encoder on ADE20K and CamVid, from one measured block, the measured heads and the maps' sizes.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from rich.console import Console
from timing import interleaved, machine, table

from internvl_seg import create_encoder
from internvl_seg.probing import probe
from internvl_seg.probing.batched_heads import BatchedHeads
from internvl_seg.probing.feature_store import DTYPES
from internvl_seg.probing.features import Features, Norms
from internvl_seg.probing.head_spec import HeadSpec
from internvl_seg.probing.loss import CrossEntropy
from internvl_seg.probing.objectives import Objectives
from internvl_seg.probing.settings import PRECISIONS, ProbeSettings
from internvl_seg.training import evaluate, train

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "camvid" / "vit_s_linear_frozen_camvid-378x504.py"
# On shorter schedules the heads of different seeds are further apart than what is to be seen.
BATCH, LR, SHORT, SEEDS = 16, 1e-2, 300, [0, 1, 2, 3]
# As often as 80,000 iterations of 16 images see each of ADE20K's 20,210.
EPOCHS = 80_000 * 16 / 20_210
# The official augmentation, at CamVid's size.
OFFICIAL = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations"},
    {"type": "RandomResize", "scale": (504, 378), "ratio_range": (0.5, 2.0), "keep_ratio": True},
    {"type": "RandomCrop", "crop_size": (378, 504), "cat_max_ratio": 0.75},
    {"type": "RandomFlip", "prob": 0.5},
    {"type": "PhotoMetricDistortion"},
    {"type": "PackSegInputs"},
]
# Classes, training images, windows of the validation images, steps.
SCHEDULES = {"ADE20K": (150, 20_210, 2_000 * 2, 80_000), "CamVid": (11, 367, 101, round(EPOCHS * 367 / BATCH))}


class Runs:
    """Studies and trainings on CamVid below one folder.

    Args:
        folder: Where all goes.
        options: Over the config: data and weights.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self._folder = folder
        # As officially: no class weights, no weight decay.
        self._options = {**options, "model.decode_head.loss_decode.class_weight": None}

    def plain(self, steps: int) -> tuple[float, float, float]:
        """Train with the encoder in the loop: mIoU, seconds a step, seconds of the validation."""
        options = {
            **self._options,
            "optim_wrapper.optimizer.lr": LR,
            "train_dataloader.batch_size": BATCH,
            "param_scheduler": [{"type": "PolyLR", "power": 1.0, "eta_min": 0.0, "by_epoch": False, "end": steps}],
            "train_cfg.max_iters": steps,
            "train_cfg.val_interval": steps,
            "default_hooks.checkpoint.interval": steps,
            "val_dataloader": None,
            "val_cfg": None,
            "val_evaluator": None,
            "default_hooks.logger.interval": 10,
        }
        folder = self._folder / "plain"
        train(CONFIG, work_dir=str(folder), options=options)
        lines = [line for path in folder.rglob("scalars.json") for line in path.read_text().splitlines()]
        # The first entry holds the start of the workers.
        seconds = [entry["time"] for entry in map(json.loads, lines) if "time" in entry][1:]
        start = time.perf_counter()
        metrics = evaluate(CONFIG, folder / f"iter_{steps}.pth", work_dir=str(folder / "test"), options=self._options)
        return metrics["mIoU"], sum(seconds) / len(seconds), time.perf_counter() - start

    def ours(self, name: str, steps: int, **options: Any) -> tuple[list[float], dict[str, float], dict[str, Any]]:
        """A study: mIoU of every head, seconds by part, and its results."""
        settings = {
            "blocks": [11],
            "iterations": steps,
            "batch_size": BATCH,
            "heads": [{"kind": "linear", "lr": [LR]}],
            "pictures": 0,
            **{key: value for key, value in options.items() if key != "pipeline"},
        }
        settings["store"] = {"folder": str(self._folder / "features"), **options.get("store", {})}
        merged = {**self._options, "probe": settings}
        if "pipeline" in options:
            merged["train_dataloader.dataset.pipeline"] = options["pipeline"]
        folder = self._folder / name
        probe(CONFIG, work_dir=str(folder), options=merged, console=Console(stderr=True))
        results = json.loads((folder / "results.json").read_text())
        return [head["score"] for head in results["heads"]], results["seconds"], results


def of_stores(results: dict[str, Any], field: str) -> float:
    """Sum of a field over a study's stores."""
    return sum(store[field] for store in results["stores"].values())


def compare_with_training(runs: Runs, steps: int) -> str:
    """Table 1, with the plain loop's seconds from its short run."""
    _, _, short_results = runs.ours("short", SHORT)
    made = of_stores(short_results, "seconds_to_make")
    short, _, _ = runs.ours("short-seeds", SHORT, seeds=SEEDS)
    plain, per_step, validation = runs.plain(SHORT)
    long, seconds, _ = runs.ours("long", steps)
    rows = []
    for count, other, mine in ((SHORT, f"{plain:.2f}", short[0]), (steps, "–", long[0])):
        loop = count * per_step + validation
        results = short_results["seconds"] if count == SHORT else seconds
        heads = results["training"] + results["validation"]
        numbers = [f"{loop:.0f}", other, f"{made:.0f} + {heads:.0f}", f"{mine:.2f}", f"{loop / (made + heads):.1f}"]
        rows.append([f"{count} steps of {BATCH} ({count * BATCH / 367:.1f} epochs)", *numbers])
    header = ["CamVid, ViT-S/14, one head", "train, s", "mIoU", "features + heads, s", "mIoU", "ratio"]
    note = (
        f"A step of `train` took {per_step:.2f} s; the last row's time is {steps} times that and its validation. With "
        f"{len(SEEDS)} seeds, {SHORT} steps gave {mean(short):.2f} ± {stdev(short):.2f} here ({min(short):.2f} to "
        f"{max(short):.2f}), and {plain - mean(short):+.2f} with `train`."
    )
    return f"{table(header, rows)}\n\n{note}"


def count_heads(runs: Runs, steps: int) -> str:
    """Table 2."""
    rows, first = [], 0.0
    for count in (1, 20):
        lrs = [LR * 2.0 ** (i / 4 - 2.5) for i in range(count)] if count > 1 else [LR]
        scores, seconds, results = runs.ours(f"heads-{count}", steps, heads=[{"kind": "linear", "lr": lrs}])
        made = of_stores(results, "seconds_to_make")
        total = made + seconds["training"] + seconds["validation"]
        first = first or total
        numbers = [f"{made:.0f}", f"{seconds['training']:.0f}", f"{seconds['validation']:.0f}", f"{total:.0f}"]
        rows.append([str(count), *numbers, f"{total / first:.2f}", f"{max(scores):.2f}"])
    return table(["linear heads", "features, s", "training, s", "validation, s", "all, s", "ratio", "best mIoU"], rows)


def count_views(runs: Runs, steps: int) -> str:
    """Table 3."""
    rows = []
    for views in (1, 2, 4, 8):
        (score,), seconds, results = runs.ours(f"views-{views}", steps, views=views, pipeline=OFFICIAL)
        made, size = (of_stores(results, field) for field in ("seconds_to_make", "bytes"))
        rows.append([str(views), f"{made:.0f}", f"{seconds['training']:.0f}", f"{size / 1e9:.2f}", f"{score:.2f}"])
    return table(["official augmentation, views", "features, s", "training, s", "GB", "mIoU"], rows)


def compare_dtypes(runs: Runs, steps: int) -> str:
    """Table 4."""
    rows = []
    for dtype in ("bfloat16", "int8"):
        (score,), seconds, results = runs.ours(f"store-{dtype}", steps, store={"dtype": dtype})
        made, size = (of_stores(results, field) for field in ("seconds_to_make", "bytes"))
        numbers = [f"{size / 1e9:.3f}", f"{made:.0f}", f"{seconds['training']:.0f}", f"{score:.2f}"]
        rows.append([dtype, *numbers])
    return table(["store", "GB", "features, s", "training, s", "mIoU"], rows)


def compare_steps(runs: Runs, steps: int) -> str:
    """Table 5."""
    rows = []
    for precision in PRECISIONS:
        for stride in (7, 14):
            options = {"precision": precision, "loss_stride": stride, "seeds": SEEDS}
            scores, seconds, _ = runs.ours(f"{precision}-{stride}", steps, **options)
            name = f"{precision}, every {stride}th pixel"
            rows.append([name, f"{seconds['training']:.0f}", f"{mean(scores):.2f} ± {stdev(scores):.2f}"])
    return table([f"heads of {len(SEEDS)} seeds", "training, s", "mIoU"], rows)


def plain_step(channels: int, classes: int, grid: int, crop: int) -> Callable[[], None]:
    """A training step of MMSegmentation's on maps that are there: forward, loss at full size, backward, AdamW."""
    head: Any = MODELS.build({"type": "LinearHead", "in_channels": channels, "num_classes": classes})
    optimizer = torch.optim.AdamW(head.parameters(), lr=LR)
    maps = torch.randn(BATCH, channels, grid, grid)
    labels = torch.randint(0, classes, (BATCH, 1, crop, crop))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]

    def step() -> None:
        head.loss([maps], samples, None)["loss_ce"].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def batched_step(
    heads: int, precision: torch.dtype, channels: int, classes: int, grid: int, crop: int
) -> Callable[[], None]:
    """A training step of as many heads on maps that are on disk in bf16: read, forward, loss, backward, AdamW."""
    specs = [HeadSpec("e", "linear", (0,), "adamw", LR * (i + 1), 0.0, True, 0) for i in range(heads)]
    batched, norms = BatchedHeads(specs, channels, classes, "maps", precision), Norms(1e-5)
    stored = torch.randn(BATCH, grid, grid, channels).bfloat16()
    labels = torch.randint(0, classes, (BATCH, crop, crop)).to(torch.uint8)
    objectives, memory = Objectives(CrossEntropy(), ProbeSettings.loss_stride, dense=True), torch.empty(stored.shape)

    def step() -> None:
        features = Features({0: memory.copy_(stored)}, "maps", norms, training=True)
        batched.step(features, labels, objectives.at(0, 0), 1.0)

    return step


def foretell_6b() -> str:
    """Table 6."""
    grid, crop, channels = 36, 504, 3200
    with torch.no_grad():
        encoder = create_encoder("internvit_6b_448px_v2_5", img_size=crop, depth=1, dtype=torch.bfloat16).eval()
        tokens = torch.randn(1, 1 + grid * grid, channels).bfloat16()
        block = interleaved({"block": lambda: encoder.blocks[0](tokens)}, rounds=5)["block"]
    encode = 45 * block
    sample = grid * grid * channels * 2
    rows = []
    notes = [f"One block of one 504 x 504 image took {block:.3f} s, so all 45 take {encode:.1f} s."]
    for name, (classes, train_images, val_windows, steps) in SCHEDULES.items():
        sizes = (channels, classes, grid, crop)
        runs = {"plain": plain_step(*sizes)}
        for precision in PRECISIONS:
            runs |= {f"{count}, {precision}": batched_step(count, DTYPES[precision], *sizes) for count in (1, 20)}
        seconds = interleaved(runs, rounds=3)
        loop = steps * (BATCH * encode + seconds["plain"])
        features = (train_images + val_windows) * encode
        ours = {heads: features + steps * seconds[heads] for heads in runs if heads != "plain"}
        for heads, whole in ours.items():
            days = [f"{value / 86_400:.2f}" for value in (loop, features, whole - features)]
            first = ours[f"1, {heads.split(', ')[1]}"]
            ratios = [f"{loop / whole:.1f}", f"{whole / first:.2f}"]
            step = f"{seconds[heads]:.2f}"
            rows.append([f"{name}, {steps:,} x {BATCH}", heads, step, *days, *ratios])
        notes.append(
            f"{name}, {classes} classes: a step of the head alone took {seconds['plain']:.2f} s in MMSegmentation. "
            f"Training runs the encoder on {steps * BATCH:,} images; features "
            f"are made of {train_images:,} and of {val_windows:,} windows of the validation images, and take "
            f"{train_images * (sample + crop * crop) / 1e9:.1f} GB in bf16 or "
            f"{train_images * (sample / 2 + crop * crop) / 1e9:.1f} GB in int8 with their labels, and "
            f"{val_windows * sample / 1e9:.1f} or {val_windows * sample / 2e9:.1f} GB for those windows."
        )
    header = [
        "6B, linear",
        "heads",
        "a step, s",
        "train, days",
        "features, days",
        "heads, days",
        "ratio",
        "of one head",
    ]
    return "\n\n".join([table(header, rows), *notes])


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="CamVid: images/{train,val}, annotations/{train,val}")
    parser.add_argument("--weights", type=Path, help="a ViT-S/14 in the official names; without, only table 6")
    parser.add_argument("--folder", type=Path, help="where runs and features go; a temporary folder by default")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()

    parts = [machine()]
    with TemporaryDirectory() as temporary:
        if options.data and options.weights:
            paths = {"data_root": str(options.data), "model.backbone.init_cfg.checkpoint": str(options.weights)}
            runs = Runs(options.folder or Path(temporary), paths)
            steps = round(EPOCHS * 367 / BATCH)
            for part in (compare_with_training, count_heads, compare_dtypes, count_views, compare_steps):
                parts.append(part(runs, steps))
                print(parts[-1], flush=True)
        parts.append(foretell_6b())
    text = "\n\n".join(parts)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
