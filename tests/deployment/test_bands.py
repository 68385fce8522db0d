"""A segmentor of other bands than RGB is not exported as one of RGB."""

import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from internvl_seg.deployment.errors import ExportError
from internvl_seg.deployment.graphs import SegmentorGraph


def test_a_segmentor_of_four_bands_is_refused() -> None:
    init_default_scope("mmseg")
    config = {
        "type": "StreamingEncoderDecoder",
        "data_preprocessor": {"type": "SegDataPreProcessor", "mean": [1.0] * 4, "std": [1.0] * 4, "size": (28, 28)},
        "backbone": {
            "type": "InternViT",
            "in_chans": 4,
            "arch": {"embed_dim": 8, "depth": 1, "num_heads": 2, "img_size": 28},
        },
        "decode_head": {"type": "LinearHead", "in_channels": 8, "num_classes": 2},
        "test_cfg": {"mode": "whole"},
    }
    with pytest.raises(ExportError, match="takes in_chans=4, but a segmentor's graph takes RGB"):
        SegmentorGraph(MODELS.build(config))
