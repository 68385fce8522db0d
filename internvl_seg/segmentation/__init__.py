"""Semantic segmentation with MMSegmentation: what it lacks."""

from .backbone import InternViTBackbone
from .feature_pyramid import FeaturePyramid
from .linear_head import LinearHead

__all__ = ["FeaturePyramid", "InternViTBackbone", "LinearHead"]
