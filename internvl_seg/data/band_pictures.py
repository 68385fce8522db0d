"""Bands as pictures, for drawing only: no model sees these."""

from collections.abc import Mapping
from typing import Any

import mmcv
import numpy as np
from numpy.typing import NDArray

from ..common.library_noise import quiet_opencv
from .bands import BandReader, Pixels

_LOW, _HIGH = 2, 98
_GREY = 128


def draw_bands(pixels: Pixels) -> NDArray[np.uint8]:
    """The first three of the bands that are read as red, green and blue; of two the second twice, of one grey.

    Each is stretched from its 2nd to its 98th percentile of the picture.

    Args:
        pixels: Of the bands.

    Returns:
        RGB, (H, W, 3); pixels without data are black.
    """
    count = pixels.values.shape[-1]
    drawn = np.zeros((*pixels.there.shape, 3), np.uint8)
    for channel, band in enumerate((0, min(1, count - 1), min(2, count - 1))):
        values = pixels.values[..., band][pixels.there].astype(np.float64)
        if not values.size:
            break
        low, high = np.percentile(values, (_LOW, _HIGH))
        stretched = (values - low) / (high - low) * 255 if high > low else np.full_like(values, _GREY)
        drawn[..., channel][pixels.there] = np.rint(stretched.clip(0, 255))
    return drawn


def read_drawn(path: str, reader: BandReader | None = None) -> NDArray[np.uint8]:
    """An image as it is drawn, RGB (H, W, 3).

    Args:
        path: The file.
        reader: What reads the bands that a model sees of it (:func:`reader_of`); None for what OpenCV reads.
    """
    if reader is not None:
        return draw_bands(reader.read_file(path))
    with quiet_opencv():
        image: NDArray[np.uint8] = mmcv.imread(path, channel_order="rgb")
    return image


def reader_of(dataset: Any) -> BandReader | None:
    """What reads the bands of a data set's images, or of the first of several; None if it reads no bands.

    Args:
        dataset: As it was built, or its config.
    """
    own: Any = dataset if isinstance(dataset, Mapping) else getattr(dataset, "__dict__", {})
    inner = own.get("datasets") or ([own["dataset"]] if own.get("dataset") is not None else [])
    if inner:
        return reader_of(inner[0])
    pipeline = own.get("pipeline")
    for step in getattr(pipeline, "transforms", pipeline) or ():
        reader = BandReader.read_step(step) if isinstance(step, Mapping) else getattr(step, "reader", None)
        if isinstance(reader, BandReader):
            return reader
    return None
