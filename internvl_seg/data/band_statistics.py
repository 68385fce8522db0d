"""Mean and standard deviation of every band over a data set, exactly."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from .images import LoadImageFromFile
from .own_words import OwnWordsError


class StatisticsError(OwnWordsError):
    """The bands of a data set cannot be measured; the message says why."""


@dataclass(frozen=True)
class BandStatistics:
    """What the pixels of a data set are.

    Attributes:
        mean: Of every band, in the order in which images have them.
        std: Standard deviations, of all pixels.
        low: Lowest values.
        high: Highest values.
        pixels: How many pixels hold data.
        images: How many images there are.
    """

    mean: list[float]
    std: list[float]
    low: list[float]
    high: list[float]
    pixels: int
    images: int


class _Sums(NamedTuple):
    """Pixels; mean, sum of squared differences from it, lowest and highest of every band, in float64."""

    pixels: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def _sums_of(values: NDArray[Any]) -> _Sums:
    """Of pixels (N, bands)."""
    if not len(values):
        empty = np.zeros(values.shape[1])
        return _Sums(0, empty, empty, empty + np.inf, empty - np.inf)
    wide = values.astype(np.float64)
    mean = wide.mean(0)
    return _Sums(len(wide), mean, np.square(wide - mean).sum(0), wide.min(0), wide.max(0))


def _joined(first: _Sums, second: _Sums) -> _Sums:
    """Of the pixels of both (Chan, Golub, LeVeque 1979), which loses nothing however far the means are apart."""
    count = first.pixels + second.pixels
    apart, share = second.mean - first.mean, second.pixels / max(count, 1)
    squares = first.squares + second.squares + np.square(apart) * first.pixels * share
    low, high = np.minimum(first.low, second.low), np.maximum(first.high, second.high)
    return _Sums(count, first.mean + apart * share, squares, low, high)


def measure_bands(
    dataset: Mapping[str, Any], load: Mapping[str, Any], advance: Callable[[int, int], None] = lambda *_: None
) -> BandStatistics:
    """Measure the images of a data set as a pipeline's first step reads them.

    In float64, image by image with all cores, joined in the data set's order: the same set gives the same numbers.
    Pixels without data are left out; without ``no_data`` in the step they are an error.

    Args:
        dataset: Its config, or that of several data sets in one; no other step of its pipeline is run.
        load: Config of the ``LoadImageFromFile``.
        advance: Called with how many images of how many are done.

    Raises:
        ImageError: An image cannot be read.
        StatisticsError: There is no pixel, or the images have different numbers of channels.
    """
    step = LoadImageFromFile(**{name: value for name, value in load.items() if name != "type"})
    paths = [path for part in _parts(dataset) for path in _paths(part)]

    def measure(path: str) -> _Sums:
        if step.reader is not None:
            pixels = step.reader.read_file(path, step.backend_args)
            return _sums_of(pixels.values[pixels.there])
        image: NDArray[Any] = step({"img_path": path})["img"]
        return _sums_of(image.reshape(image.shape[0] * image.shape[1], -1))

    total: _Sums | None = None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (path, found) in enumerate(zip(paths, pool.map(measure, paths), strict=True), start=1):
            if total is not None and len(total.mean) != len(found.mean):
                raise StatisticsError(
                    f"{path} has {len(found.mean)} channels, but the images before it {len(total.mean)}: all have "
                    "to have the same. Take it out, or set bands=[...] of LoadImageFromFile."
                )
            total = found if total is None else _joined(total, found)
            advance(number, len(paths))
    if total is None or not total.pixels:
        raise StatisticsError("The data set has no image with a pixel that holds data: there is nothing to measure.")
    std = np.sqrt(total.squares / total.pixels)
    if constant := [band for band, value in enumerate(std.tolist(), start=1) if value == 0]:
        raise StatisticsError(
            f"Channel {constant[0]} has the value {total.mean[constant[0] - 1]:g} in all images: it tells nothing, and "
            "nothing can be divided by its standard deviation of 0. Leave it out of bands of LoadImageFromFile."
        )
    lists = [values.tolist() for values in (total.mean, std, total.low, total.high)]
    return BandStatistics(lists[0], lists[1], lists[2], lists[3], total.pixels, len(paths))


def _parts(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The data sets in one."""
    inner = dataset.get("datasets") or ([dataset["dataset"]] if "dataset" in dataset else [])
    return [part for one in inner for part in _parts(one)] if inner else [dataset]


def _paths(dataset: Mapping[str, Any]) -> list[str]:
    built = DATASETS.build({**dataset, "pipeline": []})
    return [str(built.get_data_info(index)["img_path"]) for index in range(len(built))]
