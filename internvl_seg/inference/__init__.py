"""Segmenting pictures, videos and rasters of one's own."""

from .segmenter import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter"]
