"""Rasters of any bands and bits, as tests need them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from internvl_seg.data.gdal import gdal


def write_raster(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write (H, W) or (H, W, bands) of any dtype: a TIFF, without colours unless ``options`` say so."""
    bands = np.atleast_3d(pixels).transpose(2, 0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with (
        gdal("A test's raster cannot be written"),
        rasterio.open(path, "w", **{"driver": "GTiff", "photometric": "minisblack"} | options | shape) as file,
    ):
        file.write(bands)
    return path
