"""PNGs whose pixels are ids."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .export import SourceError


def read_ids(path: Path) -> NDArray[Any]:
    """Ids from a PNG of one channel of up to 16 bits, or of RGBA, of which red is the lowest 8 bits.

    Args:
        path: The file.

    Returns:
        (H, W).

    Raises:
        SourceError: It cannot be read, or has other channels.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:  # It refuses what has more pixels than a mask needs.
            values = np.asarray(image)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise SourceError(f"{path} is no PNG that can be read: {error}. Export it again.") from error
    if values.ndim == 3 and values.shape[2] == 4:
        red, green, blue = (values[..., i].astype(np.uint32) for i in range(3))
        return red | green << 8 | blue << 16
    if values.ndim != 2:
        raise SourceError(f"{path} has {values.shape[2]} channels: ids in one channel were expected. Export it again.")
    return values.astype(np.uint8) if values.dtype == np.bool_ else values
