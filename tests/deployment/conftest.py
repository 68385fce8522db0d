"""Small segmentors of every kind, and what they are asked."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from internvl_seg import InternViT
from internvl_seg.deployment import export_segmentor_graph
from internvl_seg.segmentation.segmentor import StreamingEncoderDecoder

RMS = {"norm": "rms_norm", "qk_norm": True, "qkv_bias": False}
LAYER = {"norm": "layer_norm", "qk_norm": False, "qkv_bias": True}
ARCH = {"embed_dim": 16, "depth": 1, "num_heads": 2, "patch_size": 4, "img_size": 20}
LINEAR = {"type": "LinearHead", "in_channels": 16, "num_classes": 5}
UPER = {
    "type": "UPerHead",
    "in_index": [0, 1, 2, 3],
    "in_channels": [16] * 4,
    "channels": 8,
    "pool_scales": (1, 2, 3, 6),
    "num_classes": 5,
    "norm_cfg": {"type": "BN"},
}
PYRAMID = {"type": "FeaturePyramid", "embed_dim": 16}

# Fields of the model; those of the backbone and the preprocessor are merged into theirs.
KINDS: dict[str, dict[str, Any]] = {
    "linear_rms_norm": {"decode_head": LINEAR},
    "two_blocks_lora": {
        "decode_head": {**LINEAR, "in_channels": [16, 16], "in_index": [0, 1]},
        "arch": {**LAYER, "depth": 2},
        "backbone": {"out_indices": (0, 1), "lora": {"rank": 2}},
    },
    "tuned_mlp_binary_bgr_padded": {
        "decode_head": {
            **LINEAR,
            "type": "MLPHead",
            "hidden_channels": 12,
            "num_classes": 2,
            "out_channels": 1,
            "threshold": 0.1,
            "align_corners": True,
            "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": True},
        },
        "backbone": {"frozen": False, "dtype": "bfloat16", "with_cp": True},
        "data_preprocessor": {"bgr_to_rgb": False, "pad_val": 3.5, "test_cfg": {"size_divisor": 10}},
    },
    "upernet": {
        "decode_head": UPER,
        "neck": PYRAMID,
        "backbone": {"out_indices": (0,) * 4, "dtype": "bfloat16"},
        "arch": LAYER,
    },
}
CLASSES, PALETTE = ["a", "b", "c", "d", "e"], [[i, 2 * i, 3 * i] for i in range(5)]
# The first is of whole patches, the second of none; then one patch, less, one row and one column of them.
SIZES = ((68, 92), (101, 77), (4, 4), (3, 1), (4, 43), (29, 2))


def build(
    kind: str, arch: dict[str, Any] | None = None, in_channels: int | None = None, weights: Path | None = None
) -> StreamingEncoderDecoder:
    """A random segmentor in which every class gets some pixels; of another encoder and on its weights, if given."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    fields = {**KINDS[kind]}
    if in_channels is not None:
        fields["decode_head"] = {**fields["decode_head"], "in_channels": in_channels}
    arch = {**ARCH, **RMS, **fields.pop("arch", {}), **(arch or {})}
    backbone = {"type": "InternViT", "arch": arch, "frozen": True, **fields.pop("backbone", {})}
    if weights is not None:
        backbone["init_cfg"] = {"type": "Pretrained", "checkpoint": str(weights)}
    preprocessor = {
        "type": "SegDataPreProcessor",
        "mean": [120, 115, 100],
        "std": [58, 57, 56],
        "bgr_to_rgb": True,
        **fields.pop("data_preprocessor", {}),
    }
    model = MODELS.build(
        {
            "type": "StreamingEncoderDecoder",
            "data_preprocessor": preprocessor,
            "backbone": backbone,
            "test_cfg": {"mode": "whole", "keep_logits": True},
            **fields,
        }
    ).eval()
    for name, parameter in model.named_parameters():
        if weights is not None and name.startswith("backbone."):
            continue
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
        elif "gamma" in name:
            nn.init.ones_(parameter)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    if weights is None:
        centre(model, torch.randn(1, 3, 40, 60))
    return model


@torch.no_grad()
def centre(model: StreamingEncoderDecoder, images: torch.Tensor) -> None:
    """Make the mean logit of every class 0 on normalised images, so that each wins somewhere."""
    bias = model.decode_head.conv_seg.bias
    bias -= model.decode_head(model.extract_feat(images)).mean((0, 2, 3))


def encoder(norm: dict[str, Any], **arguments: Any) -> InternViT:
    """A random encoder whose blocks matter."""
    torch.manual_seed(0)
    model = InternViT(**{**ARCH, **norm, **arguments}).eval()
    for name, parameter in model.named_parameters():
        nn.init.ones_(parameter) if "gamma" in name else nn.init.normal_(parameter, std=0.3)
    return model


def pictures(count: int, size: tuple[int, int]) -> np.ndarray:
    """RGB pictures (count, 3, H, W), float32 of whole numbers from 0 to 255."""
    return np.random.default_rng(size).integers(0, 256, (count, 3, *size)).astype(np.float32)


def predict(model: StreamingEncoderDecoder, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PyTorch's labels (B, H, W) and logits (B, C, H, W) of RGB pictures, by the segmentor's own test step."""
    bgr = torch.from_numpy(images[:, ::-1].copy()).to(torch.uint8)
    samples = model.test_step({"inputs": list(bgr), "data_samples": [SegDataSample() for _ in bgr]})
    labels = np.stack([sample.pred_sem_seg.data[0].numpy() for sample in samples])
    return labels, np.stack([sample.seg_logits.data.numpy() for sample in samples])


class Exported(NamedTuple):
    """A segmentor and the file that it was exported to."""

    model: StreamingEncoderDecoder
    path: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Exported]:
    """Export a kind of segmentor to a file with a suffix, once for all tests."""

    @functools.cache
    def export(kind: str, suffix: str) -> Exported:
        model, path = build(kind), tmp_path_factory.mktemp(kind) / f"graph{suffix}"
        export_segmentor_graph(model, path, classes=CLASSES, palette=PALETTE, logits=True)
        return Exported(model, path)

    return export


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Graphs this small only get slower with more."""
    torch.set_num_threads(1)
