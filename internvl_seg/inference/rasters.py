"""Pictures too large for memory, read and written in parts."""

from ..data.gdal import RasterError
from .label_raster import LabelWriter
from .raster_reader import RASTER_SUFFIXES, RasterReader

__all__ = ["RASTER_SUFFIXES", "LabelWriter", "RasterError", "RasterReader"]
