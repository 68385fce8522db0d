"""Segmenting and classifying pictures of one's own; videos and rasters, too, are segmented."""

from .classifier import Classification, Classifier
from .segmenter import Segmentation, Segmenter

__all__ = ["Classification", "Classifier", "Segmentation", "Segmenter"]
