"""Images for classifiers, read as for segmentors."""

import mmpretrain.datasets  # noqa: F401  # It registers mmcv's transform, and would not over another one.
from mmpretrain.registry import TRANSFORMS

from ..data.images import LoadImageFromFile

# Where a config names mmcv's transform, this one reads.
TRANSFORMS.register_module(name="LoadImageFromFile", force=True, module=LoadImageFromFile)
