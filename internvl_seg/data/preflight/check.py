"""The preflight: list, read, judge."""

import os
import shlex
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ..band_pictures import reader_of
from .findings import Finding
from .listing import Listing, list_files
from .pair import Pair, read_pair
from .rules import find_in_images, find_in_masks
from .settings import check_settings, ignored_labels, most_ignored


class DatasetError(RuntimeError):
    """The images and masks would stop or ruin a training."""


@dataclass(frozen=True)
class Histogram:
    """How often the classes of a data set are there.

    Attributes:
        split: 'train', 'val' or 'test'.
        classes: Names, C of them.
        pixels: (C,), of each class.
        images: (C,), with a pixel of it.
        ignored: Number of pixels that are ignored.
        total: Number of images read.
    """

    split: str
    classes: tuple[str, ...]
    pixels: NDArray[np.int64]
    images: NDArray[np.int64]
    ignored: int
    total: int


@dataclass(frozen=True)
class Report:
    """What a preflight found.

    Attributes:
        findings: Faults, errors first.
        histograms: Of every data set that has masks.
        images: Number of images read.
        seconds: How long it took.
    """

    findings: tuple[Finding, ...]
    histograms: tuple[Histogram, ...]
    images: int
    seconds: float


def _histogram(listing: Listing, pairs: list[Pair], ignored: int) -> Histogram:
    classes = len(listing.classes)
    pixels, images, skipped = np.zeros(classes, np.int64), np.zeros(classes, np.int64), 0
    for pair in pairs:
        if pair.mask is not None:
            # Higher ids are a fault of its own.
            new = listing.new_ids[pair.mask.ids % 256]
            counts = np.bincount(new, weights=pair.mask.counts, minlength=256).astype(np.int64)
            skipped += int(counts[ignored])
            counts[ignored] = 0
            pixels += counts[:classes]
            images += counts[:classes] > 0
    return Histogram(listing.split, listing.classes, pixels, images, skipped, len(pairs))


def _overlap(listings: list[Listing], read: list[list[Pair]]) -> list[Finding]:
    """Images of the training sets that are in another one, too."""
    trained: dict[bytes, str] = {}
    findings = []
    for listing, pairs in zip(listings, read, strict=True):
        named = [(p.image.digest, Path(p.image_path).name) for p in pairs if p.image is not None]
        if listing.split == "train":
            trained |= dict(named)
        elif both := [f"{name} = {trained[digest]}" for digest, name in named if digest in trained]:
            findings.append(Finding.of("overlap", listing.split, both))
    return findings


def _evenly(pairs: list[tuple[str, str]], number: int | None) -> list[tuple[str, str]]:
    if number is None or len(pairs) <= number:
        return pairs
    return [pairs[i * len(pairs) // number] for i in range(number)]


def check_dataset(
    config: Config,
    *,
    splits: Iterable[str] = ("train", "val", "test"),
    sample: int | None = None,
    console: Console | None = None,
) -> Report:
    """Look at every image and mask of a config's data sets, and at what the config says of them.

    Args:
        config: The config.
        splits: Which of 'train', 'val' and 'test', in this order.
        sample: Look into so many images of each data set, spread evenly, instead of all. Classes that are never seen
            are not reported then, and overlap only among those looked at.
        console: Where to draw a progress bar; nowhere if None.

    Returns:
        Findings and the histogram of the classes.

    Raises:
        DatasetError: The config's model labels images, not pixels.
    """
    if config.get("default_scope") == "mmpretrain":
        raise DatasetError(
            f"{config.filename} is for image labels; this looks at masks. tools/train.py and tools/test.py check "
            "folders of images when they list them."
        )
    start = time.perf_counter()
    listings = list_files(config, splits)
    findings = [finding for listing in listings for finding in listing.findings] + check_settings(config, listings)
    ignored = most_ignored(ignored_labels(config))
    chosen = [_evenly(listing.pairs, sample) for listing in listings]
    bar = Progress(console=console or Console(quiet=True), transient=True)
    # Decoders release Python's lock, so threads use all cores.
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        read = [
            list(
                bar.track(
                    pool.map(partial(read_pair, reader=reader_of(vars(listing))), *zip(*pairs, strict=True)),
                    total=len(pairs),
                    description=listing.split,
                )
            )
            if pairs
            else []
            for listing, pairs in zip(listings, chosen, strict=True)
        ]
    histograms = []
    for listing, pairs in zip(listings, read, strict=True):
        findings += find_in_images(listing, pairs) + find_in_masks(listing, pairs, ignored)
        if any(pair.mask is not None for pair in pairs):
            histogram = _histogram(listing, pairs, ignored)
            histograms.append(histogram)
            if listing.split == "train" and sample is None:
                unseen = [name for name, seen in zip(listing.classes, histogram.images, strict=True) if not seen]
                findings += [Finding.of("unseen_class", "train", unseen)] if unseen else []
    findings += _overlap(listings, read)
    findings.sort(key=lambda finding: finding.severity)
    return Report(tuple(findings), tuple(histograms), sum(map(len, read)), time.perf_counter() - start)


def check_before_training(config: Config, sample: int = 200, options: Mapping[str, Any] | None = None) -> None:
    """Look at a sample of what a training reads, in seconds; print warnings.

    Args:
        config: The config.
        sample: How many images of each data set.
        options: What was put over the config's file, for the command that is advised.

    Raises:
        DatasetError: Something would stop or ruin the training; the message lists all that was found.
    """
    report = check_dataset(config, splits=("train", "val"), sample=sample)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    console = Console()
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        by_kind[finding.severity].append(finding)
    for finding in by_kind["warning"]:
        console.print(f"Data, {finding.kind}: {finding}", style="yellow", soft_wrap=True, markup=False)
    if errors:
        given = "".join(f" {shlex.quote(f'{key}={value}'.replace(' ', ''))}" for key, value in (options or {}).items())
        given = given and f" --cfg-options{given}"
        listed = "\n".join(f"- {finding.kind}: {finding}" for finding in errors)
        raise DatasetError(
            f"Training would fail or learn the wrong thing (looked at {report.images} images):\n{listed}\n"
            f"All of it: python tools/check_dataset.py {shlex.quote(str(config.filename))}{given}"
        )
