"""The preflight: list, read, judge."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ..confusion import IGNORED
from .cache import default_folder
from .findings import Finding
from .image_rules import find_in_images
from .label_listing import count_images, find_in_labels, list_labels
from .label_rules import find_strange_labels
from .listing import list_files
from .mask_rules import Counts, count, find_in_masks
from .pasting import Command
from .reading import Looked, Reader
from .settings import check_settings, ignored_labels, most_ignored
from .split_rules import find_between_splits


class DatasetError(RuntimeError):
    """The images and masks would stop or ruin what is to be done with them."""


@dataclass(frozen=True)
class Histogram:
    """How often the classes of a split are there.

    Attributes:
        split: 'train', 'val' or 'test'.
        classes: Names, C of them.
        pixels: (C,), of each class; empty where whole images have labels.
        images: (C,), of each class, or with a pixel of it.
        ignored: Number of pixels that are ignored.
        total: Number of images, of those read where pixels have labels.
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
        histograms: Of every split that has masks, or labels of whole images.
        images: Number of images read.
        seconds: How long it took.
    """

    findings: tuple[Finding, ...]
    histograms: tuple[Histogram, ...]
    images: int
    seconds: float


def _histogram(counts: Counts, images: int) -> Histogram:
    return Histogram(counts.split, counts.classes, counts.pixels, counts.images, counts.skipped, images)


def _of_images(parts: list[Looked], images: NDArray[np.int64]) -> Histogram:
    listing, total = parts[0].listing, sum(len(part.listing.infos) for part in parts)
    return Histogram(listing.split, listing.classes, np.empty(0, np.int64), images, 0, total)


def check_dataset(
    config: Config,
    *,
    splits: Iterable[str] = ("train", "val", "test"),
    sample: int | None = None,
    pictures: int | None = None,
    command: Command | None = None,
    cache: Path | None = None,
    console: Console | None = None,
) -> Report:
    """Look at every image and mask or label of a config's data sets, and at what the config says of them.

    Args:
        config: The config.
        splits: Which of 'train', 'val' and 'test', in this order.
        sample: Look into so many images of each data set and their masks, spread evenly, instead of all. Classes that
            are never seen are not reported then, and overlap only among those looked at.
        pictures: Decode so many images of each data set instead of all, beside those whose files' heads leave a doubt;
            their masks are all read.
        command: What is run, for the commands that are advised.
        cache: Folder for what was read; :func:`.cache.default_folder` if None.
        console: Where to draw a progress bar; nowhere if None.

    Returns:
        Findings and the histogram of the classes.

    Raises:
        DatasetError: The sample has no image.
    """
    if sample is not None and sample < 1:
        raise DatasetError(f"--sample {sample}: nothing would be looked at. Take 1 or more, or leave it out for all.")
    start = time.perf_counter()
    command = command or Command(("python", "tools/train.py", str(config.filename)))
    is_dense = config.get("default_scope") != "mmpretrain"
    listings = (list_files if is_dense else list_labels)(config, splits)
    findings = [finding for listing in listings for finding in listing.findings]
    findings += check_settings(config, listings, command)
    ignored = most_ignored(ignored_labels(config)) if is_dense else IGNORED
    bar = Progress(
        console=console or Console(quiet=True), transient=True, disable=not (console and console.is_terminal)
    )
    with bar:
        looked = Reader(sample, pictures, cache or default_folder(), bar).read(listings)
    histograms = []
    for split in dict.fromkeys(listing.split for listing in listings):
        parts: list[Looked] = [part for part in looked if part.listing.split == split]
        findings += find_in_images(parts)
        if not is_dense:
            images = count_images(parts)
            findings += find_in_labels(parts, images)
            histograms.append(_of_images(parts, images))
            continue
        counts = count(parts, ignored)
        findings += find_in_masks(parts, counts, complete=sample is None)
        findings += find_strange_labels(config, counts, command)
        if counts.masks:
            histograms.append(_histogram(counts, sum(len(part.pairs) for part in parts)))
    findings += find_between_splits(looked)
    findings.sort(key=lambda finding: finding.severity)
    number = sum(len(part.pairs) for part in looked)
    return Report(tuple(findings), tuple(histograms), number, time.perf_counter() - start)
