"""The same small segmentor, ours and MMSegmentation's."""

from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from internvl_seg.segmentation import StreamingEncoderDecoder


def build(
    kind: str,
    num_classes: int = 5,
    *,
    binary: bool = False,
    align_corners: bool = False,
    backbone: dict[str, Any] | None = None,
    **test_cfg: Any,
) -> EncoderDecoder:
    """A segmentor with random weights, always the same; logits differ enough that few classes tie."""
    init_default_scope("mmseg")
    torch.manual_seed(1)
    head = {"type": "LinearHead", "in_channels": 8, "num_classes": num_classes, "align_corners": align_corners}
    if binary:
        head |= {"num_classes": 2, "out_channels": 1, "threshold": 0.4}
    arch = {"embed_dim": 8, "depth": 1, "num_heads": 2, "patch_size": 2, "img_size": 8}
    config = {
        "type": kind,
        "data_preprocessor": {"type": "SegDataPreProcessor"},
        "backbone": {"type": "InternViT", "arch": arch, "frozen": True, **(backbone or {})},
        "decode_head": head,
        "test_cfg": ConfigDict(test_cfg),
    }
    model = MODELS.build(config).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


def build_both(**arguments: Any) -> tuple[EncoderDecoder, StreamingEncoderDecoder]:
    """MMSegmentation's and ours, with the same weights."""
    ours_only = {key: arguments.pop(key) for key in ("window_batch", "max_memory", "keep_logits") if key in arguments}
    theirs, ours = build("EncoderDecoder", **arguments), build("StreamingEncoderDecoder", **arguments, **ours_only)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def samples(*metas: dict[str, Any]) -> list[SegDataSample]:
    """Samples as a pipeline makes them; fresh ones, because a prediction is written into them."""
    return [SegDataSample(metainfo=meta) for meta in metas]
