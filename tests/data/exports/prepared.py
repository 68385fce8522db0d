"""Exports prepared as the command does, and what came out."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from internvl_seg.data.exports.colour_tables import read_classes
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.planning import Options
from internvl_seg.data.exports.preparing import Prepared, prepare
from internvl_seg.data.exports.source import Source

SIZE = (40, 60)


def make(
    root: Path,
    out: Path,
    *,
    classes: Path | None = None,
    images: Path | None = None,
    colour_distance: float = 0,
    format: str | None = None,
    **options: Any,
) -> Prepared:
    """Prepare an export; one without splits of its own is all for training unless shares are given."""
    source = Source(root, classes, images, colour_distance)
    module, _ = find_format(source, format)
    export = module.read(source)
    if not any(picture.split for picture in export.pictures):
        options.setdefault("shares", (1.0, 0.0, 0.0))
    named = read_classes(classes) if classes else None
    return prepare(export, source, out, Options(**options), named)


def masks(out: Path) -> dict[str, NDArray[Any]]:
    """Masks by split and name; every one is as large as its picture and a PNG of one channel of 8 bits."""
    found = {}
    for path in sorted((out / "annotations").rglob("*.png")):
        name = path.relative_to(out / "annotations").as_posix()[: -len(".png")]
        (picture,) = (one for one in (out / "images" / name).parent.iterdir() if one.stem == path.stem)
        with Image.open(path) as mask, Image.open(picture) as image:
            assert mask.mode == "L"
            assert mask.size == image.size
            found[name] = np.asarray(mask)
    assert found
    return found


def names(prepared: Prepared) -> list[str]:
    """Of the classes."""
    return [label.name for label in prepared.ids.classes]


def random_ids(seed: int, count: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A map of ids, each of which occurs."""
    ids = np.random.default_rng(seed).integers(0, count, size, dtype=np.uint8)
    ids.ravel()[:count] = np.arange(count)
    return ids


def save(path: Path, pixels: Any, **options: Any) -> Path:
    """Write an image, of a picture of noise if a seed is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(pixels, int):
        pixels = np.random.default_rng(pixels).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def folder(root: Path, count: int = 6, size: tuple[int, int] = SIZE) -> dict[str, NDArray[np.uint8]]:
    """Pictures with masks of ids."""
    found = {}
    for i in range(count):
        save(root / f"images/p{i}.png", np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8))
        found[f"p{i}"] = random_ids(i, 3, size)
        save(root / f"masks/p{i}.png", found[f"p{i}"])
    return found
