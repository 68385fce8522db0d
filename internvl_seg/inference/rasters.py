"""Pictures too large for memory, read and written in parts."""

from .gdal import RasterError
from .label_raster import LabelWriter
from .raster_reader import RasterReader

__all__ = ["LabelWriter", "RasterError", "RasterReader"]
