"""Image classification with MMPretrain: what it lacks."""

from . import loading, multimodal
from .head import InternViTClsHead
from .image_folder import ImageFolder
from .imagenet import ImageNetVariant
from .metric import ImageNetAccuracy
from .objectnet import RemoveBorder

__all__ = [
    "ImageFolder",
    "ImageNetAccuracy",
    "ImageNetVariant",
    "InternViTClsHead",
    "RemoveBorder",
    "loading",
    "multimodal",
]
