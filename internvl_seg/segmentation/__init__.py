"""Semantic segmentation with MMSegmentation: what it lacks."""

from . import dm_head, losses
from .backbone import InternViTBackbone
from .feature_pyramid import FeaturePyramid
from .linear_head import LinearHead
from .mlp_head import MLPHead
from .preprocessor import SegDataPreProcessor
from .resize import resize_bilinear
from .segmentor import StreamingEncoderDecoder
from .timm_vit import TimmViT
from .tta import StreamingTTAModel

# The modules register what configs name.
__all__ = [
    "FeaturePyramid",
    "InternViTBackbone",
    "LinearHead",
    "MLPHead",
    "SegDataPreProcessor",
    "StreamingEncoderDecoder",
    "StreamingTTAModel",
    "TimmViT",
    "dm_head",
    "losses",
    "resize_bilinear",
]
