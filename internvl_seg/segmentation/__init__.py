"""Semantic segmentation with MMSegmentation: what it lacks."""

from .backbone import InternViTBackbone
from .feature_pyramid import FeaturePyramid
from .linear_head import LinearHead
from .resize import resize_bilinear
from .segmentor import StreamingEncoderDecoder
from .tta import StreamingTTAModel

__all__ = [
    "FeaturePyramid",
    "InternViTBackbone",
    "LinearHead",
    "StreamingEncoderDecoder",
    "StreamingTTAModel",
    "resize_bilinear",
]
