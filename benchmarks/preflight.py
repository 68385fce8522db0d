"""The preflight of a data set: masks read for the first time, and again, against reading them in a plain loop.

``python benchmarks/preflight.py`` prints a Markdown table. The peer reads the same masks with MMSegmentation's own
``LoadAnnotations`` one after the other and counts the labels of each with NumPy; that both count the same is checked.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image
from timing import machine, table

import internvl_seg  # noqa: F401 - Registers the classes that the config names.
from internvl_seg.data.preflight import Report, check_dataset
from internvl_seg.data.preflight.before import PICTURES

SIDE, CLASSES, DISTINCT = 512, 20, 200
CONFIG = """
default_scope = 'mmseg'
model = dict(decode_head=dict(type='FCNHead', num_classes={classes}))
train_dataloader = dict(dataset=dict(
    type='BaseSegDataset', data_root='{root}', data_prefix=dict(img_path='images', seg_map_path='annotations'),
    img_suffix='.jpg', seg_map_suffix='.png', metainfo=dict(classes=tuple(str(i) for i in range({classes}))),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]))
"""


def draw(root: Path, count: int) -> None:
    """Images of noise and masks of ragged regions; a few, and files with copies of their bytes."""
    generator = np.random.default_rng(0)
    kept: list[tuple[bytes, bytes]] = []
    for name in ("images", "annotations"):
        (root / name).mkdir()
    for i in range(count):
        if i < DISTINCT:
            regions = generator.integers(CLASSES, size=(12, 12), dtype=np.uint8)
            rows, columns = (np.arange(SIDE)[shape] for shape in ((slice(None), None), (None, slice(None))))
            rows, columns = (axis + generator.integers(-3, 4, (SIDE, SIDE)) for axis in (rows, columns))
            mask = regions[rows.clip(0, SIDE - 1) // 43, columns.clip(0, SIDE - 1) // 43]
            image = generator.normal(mask[..., None] * 12.0, 6, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(mask).save(root / "mask.png")
            Image.fromarray(image).save(root / "image.jpg", quality=90)
            kept.append(((root / "image.jpg").read_bytes(), (root / "mask.png").read_bytes()))
        for folder, content, suffix in zip(
            ("images", "annotations"), kept[i % len(kept)], (".jpg", ".png"), strict=True
        ):
            (root / folder / f"{i:06}{suffix}").write_bytes(content)


def plain_loop(root: Path) -> tuple[float, np.ndarray]:
    """Seconds and pixels by class of MMSegmentation's transform and NumPy, one mask after the other."""
    step = LoadAnnotations()
    pixels = np.zeros(256, np.int64)
    start = time.perf_counter()
    for path in sorted((root / "annotations").iterdir()):
        info = {"seg_map_path": str(path), "reduce_zero_label": False, "label_map": None, "seg_fields": []}
        ids, counts = np.unique(step(info)["gt_seg_map"], return_counts=True)
        pixels[ids] += counts
    return time.perf_counter() - start, pixels


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The preflight's speed.")
    parser.add_argument("--masks", type=int, default=10_000, help="number of images and masks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, {os.cpu_count()} cores; {args.masks} masks of {SIDE}x{SIDE}", flush=True)
    folder = Path(tempfile.mkdtemp())
    try:
        draw(folder, args.masks)
        time.sleep(2.5)  # Files that were written just now are not kept.
        config = Config.fromstring(CONFIG.format(root=folder, classes=CLASSES), ".py")
        cache = folder / "cache"

        def look(pictures: int | None) -> Report:
            return check_dataset(config, splits=["train"], pictures=pictures, cache=cache)

        peer, pixels = plain_loop(folder)
        rows = [["MMSegmentation's LoadAnnotations and NumPy, masks alone", f"{peer:.1f}", "1.00"]]
        for name, pictures in (
            ("before a training, first time: all masks, heads of images", PICTURES),
            ("before a training, again", PICTURES),
            ("check_dataset.py, what is left: all images decoded", None),
            ("check_dataset.py, again", None),
        ):
            report = look(pictures)
            if not np.array_equal(report.histograms[0].pixels, pixels[:CLASSES]):
                raise SystemExit("The pixels are not those of the plain loop.")
            rows.append([name, f"{report.seconds:.1f}", f"{peer / report.seconds:.2f}"])
        print(table(["", "s", "peer / ours"], rows))
        size = sum(file.stat().st_size for file in cache.iterdir())
        print(f"\nKept: {size / 1e6:.1f} MB")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
