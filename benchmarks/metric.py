"""Scoring: the metric against MMSegmentation's IoUMetric, from the same predictions and labels.

``python benchmarks/metric.py`` prints a Markdown table. Both metrics get what the model and the loader give, int64
tensors on the CPU; that their scores are equal is checked first.
"""

import argparse
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mmseg
import torch
from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from timing import interleaved, machine, table
from torch import Tensor

from internvl_seg.training.metric import SegmentationMetric

HEIGHT, WIDTH = 512, 683
# Pairs of prediction and label that differ; an evaluation goes through them again and again.
DISTINCT = 20
Draw = Callable[[torch.Generator, int], tuple[Tensor, Tensor]]


def draw_regions(generator: torch.Generator, num_classes: int) -> tuple[Tensor, Tensor]:
    """Regions with ragged borders; a prediction that is wrong for every fifth region and here and there."""
    regions = torch.randint(num_classes, (8, 11), generator=generator)
    guessed = torch.where(
        torch.rand(regions.shape, generator=generator) < 0.2,
        torch.randint(num_classes, regions.shape, generator=generator),
        regions,
    )
    rows = torch.arange(HEIGHT)[:, None] + torch.randint(-3, 4, (HEIGHT, WIDTH), generator=generator)
    columns = torch.arange(WIDTH) + torch.randint(-3, 4, (HEIGHT, WIDTH), generator=generator)
    where = (rows.clamp(0, HEIGHT - 1) // 64, columns.clamp(0, WIDTH - 1) // 64)
    noise = torch.rand(HEIGHT, WIDTH, generator=generator) < 0.02
    wrong = torch.randint(num_classes, (HEIGHT, WIDTH), generator=generator)
    return torch.where(noise, wrong, guessed[where]), regions[where]


def draw_noise(generator: torch.Generator, num_classes: int) -> tuple[Tensor, Tensor]:
    """Every pixel of any class."""
    prediction, label = torch.randint(num_classes, (2, HEIGHT, WIDTH), generator=generator)
    return prediction, label


def make_samples(draw: Draw, num_classes: int, ignored: int) -> list[dict[str, Any]]:
    """Images as an evaluator hands them over; one pixel in twenty has no label."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for number in range(DISTINCT):
        prediction, label = draw(generator, num_classes)
        label[torch.rand(label.shape, generator=generator) < 0.05] = ignored
        data = {"pred_sem_seg": {"data": prediction[None]}, "gt_sem_seg": {"data": label[None]}}
        samples.append({**data, "img_path": f"{number}.jpg"})
    return samples


def score(kind: type[IoUMetric], samples: list[dict[str, Any]], images: int, **options: Any) -> dict[str, float]:
    """All scores of a test set of as many images, the table of classes in the log included."""
    metric = kind(iou_metrics=["mIoU", "mDice", "mFscore"], ignore_index=options["ignored"])
    metric.dataset_meta = {"classes": [str(i) for i in range(options["num_classes"])]}
    for sample in itertools.islice(itertools.cycle(samples), images):
        metric.process({}, [sample])
    return {name: round(float(value), 2) for name, value in metric.evaluate(images).items()}


def measure(name: str, draw: Draw, num_classes: int, images: int, rounds: int) -> list[str]:
    """A row of the table."""
    # The highest id that an 8-bit or 16-bit mask can hold.
    options = {"num_classes": num_classes, "ignored": 255 if num_classes < 256 else 65535}
    samples = make_samples(draw, num_classes, options["ignored"])
    peer, ours = (partial(score, kind, samples, images, **options) for kind in (IoUMetric, SegmentationMetric))
    if (expected := peer()) != (found := ours()):
        raise AssertionError(f"{name}: MMSegmentation's scores are {expected}, ours {found}.")
    seconds = interleaved({"peer": peer, "ours": ours}, rounds, warmup=0)
    per_image = [f"{1000 * time / images:.2f}" for time in seconds.values()]
    ratio = seconds["peer"] / seconds["ours"]
    return [f"{name}, {num_classes} classes", *(f"{time:.2f}" for time in seconds.values()), *per_image, f"{ratio:.1f}"]


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="images of the test set")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; all cores if left out")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    options = parser.parse_args()

    if options.threads:
        torch.set_num_threads(options.threads)
    MMLogger.get_instance("benchmark", log_level="WARNING")
    parts = [machine()]
    kinds = (("regions", draw_regions, 150), ("noise", draw_noise, 150), ("regions", draw_regions, 500))
    rows = [measure(*kind, options.images, options.rounds) for kind in kinds]
    images = f"{options.images} images of {HEIGHT}x{WIDTH}"
    header = [images, f"mmseg {mmseg.__version__}, s", "ours, s", "mmseg, ms an image", "ours, ms an image", "ratio"]
    text = "\n\n".join([*parts, table(header, rows)])
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
