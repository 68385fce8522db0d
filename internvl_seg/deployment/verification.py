"""Whether an exported graph says what PyTorch says, at three sizes."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from PIL import Image

from ..common.finite import check_finite
from ..encoder import InternViT
from ..segmentation.segmentor import StreamingEncoderDecoder
from .running import ExportedGraph

# By the dtype of the exported encoder. A few labels lie so close between two classes that rounding decides.
EQUAL_LABELS = {"float32": 0.9999, "float16": 0.99}
# The same for features, as the norm of the difference over the norm.
FEATURE_ERROR = {"float32": 1e-4, "float16": 2e-2}
_PICTURES_AT_ONCE = 2


class LabelCheck(NamedTuple):
    """Labels at one size.

    Attributes:
        size: Height and width of the pictures, in pixels.
        pictures: How many.
        equal: Share of pixels with PyTorch's label, 0 to 1, by the dtype of PyTorch's encoder.
    """

    size: tuple[int, int]
    pictures: int
    equal: dict[str, float]


class FeatureCheck(NamedTuple):
    """Features at one size.

    Attributes:
        size: Height and width of the images, in pixels.
        error: Norm of the difference from PyTorch's over their norm, of the worst output; infinite where the graph
            gives NaN or infinity.
    """

    size: tuple[int, int]
    error: float


def sample_pictures(count: int) -> list[NDArray[np.uint8]]:
    """Random RGB pictures (336, 448, 3) of smooth blobs, where no photographs are given."""
    blobs = np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), np.uint8)
    return [_resize(blob, (336, 448)) for blob in blobs]


def _resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))


def predict_labels(segmentor: StreamingEncoderDecoder, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Labels (N, H, W) of RGB pictures (N, H, W, 3), by the segmentor's own ``test_step``."""
    bgr = torch.from_numpy(pictures[..., ::-1].copy()).permute(0, 3, 1, 2)
    samples = segmentor.test_step({"inputs": list(bgr), "data_samples": [SegDataSample() for _ in bgr]})
    return np.stack([sample.pred_sem_seg.data[0].numpy() for sample in samples])


def check_labels(
    graph: ExportedGraph,
    segmentors: Mapping[str, StreamingEncoderDecoder],
    pictures: Sequence[NDArray[np.uint8]],
) -> list[LabelCheck]:
    """Compare a graph's labels with PyTorch's on pictures resized to three sizes, of which one is no whole patches.

    Args:
        graph: What was exported.
        segmentors: What it was exported from, seeing pictures whole, by the dtype of the encoder.
        pictures: RGB, (H, W, 3).
    """
    p = next(iter(segmentors.values())).backbone.patch_size
    checks = []
    for size in ((16 * p, 22 * p), (18 * p - 1, 24 * p - 3), (27 * p, 36 * p)):
        shares: dict[str, list[float]] = {dtype: [] for dtype in segmentors}
        for start in range(0, len(pictures), _PICTURES_AT_ONCE):
            batch = np.stack([_resize(picture, size) for picture in pictures[start : start + _PICTURES_AT_ONCE]])
            found = graph(batch.transpose(0, 3, 1, 2).astype(np.float32))["labels"]
            for dtype, segmentor in segmentors.items():
                shares[dtype] += list((found == predict_labels(segmentor, batch)).mean((1, 2)))
        equal = {dtype: float(np.mean(share)) for dtype, share in shares.items()}
        checks.append(LabelCheck(size, len(pictures), equal))
    return checks


@torch.inference_mode()
def check_features(graph: ExportedGraph, encoder: InternViT, indices: Sequence[int] | None) -> list[FeatureCheck]:
    """Compare a graph's features with PyTorch's on normal noise of three sizes.

    Args:
        graph: What was exported.
        encoder: What it was exported from, in float32.
        indices: Blocks whose maps the graph gives; all tokens after the last if None.

    Raises:
        NonFiniteError: PyTorch's features hold NaN or infinity.
    """
    generator = torch.Generator().manual_seed(0)
    channels = encoder.patch_embed.proj.in_channels
    checks = []
    for grid in ((16, 22), (10, 7), (27, 36)):
        size = grid[0] * encoder.patch_size, grid[1] * encoder.patch_size
        images = torch.randn(2, channels, *size, generator=generator)
        found = graph(images.numpy()).values()
        if indices is None:
            expected = [encoder.forward_features(images)]
        else:
            expected = encoder.forward_intermediates(images, indices)
        for maps in expected:
            check_finite(
                maps, f"PyTorch's features of images of {size[0]} x {size[1]}", "Look at the encoder's weights."
            )
        # NaN would be lost in a maximum.
        errors = [
            float((torch.from_numpy(ours) - theirs).norm() / theirs.norm()) if np.isfinite(ours).all() else math.inf
            for ours, theirs in zip(found, expected, strict=True)
        ]
        checks.append(FeatureCheck(size, max(errors)))
    return checks
