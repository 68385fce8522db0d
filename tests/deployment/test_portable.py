from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from internvl_seg.deployment import ExportError
from internvl_seg.deployment.portable import portable
from internvl_seg.encoder.lora import is_lora
from internvl_seg.encoder.quantization import quantize_encoder

from ..error_table import DocumentedError
from .conftest import KINDS, LAYER, build, encoder, pictures, predict


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_stays_what_it_was(kind: str) -> None:
    model = build(kind)
    before, labels = bits(model), predict(model, pictures(1, (17, 22)))[0]
    copy = portable(model, torch.float16)
    assert copy.backbone.dtype == torch.float16
    after = bits(model)
    assert after.keys() == before.keys()
    assert all(after[name].dtype == before[name].dtype and after[name].equal(before[name]) for name in before)
    np.testing.assert_array_equal(predict(model, pictures(1, (17, 22)))[0], labels)


def test_weights_that_stay_are_shared() -> None:
    model = build("linear_rms_norm")
    theirs = {tensor.data_ptr() for tensor in model.parameters()}
    assert {tensor.data_ptr() for tensor in portable(model).parameters()} == theirs


def test_adapters_are_merged() -> None:
    model = build("two_blocks_lora")
    images = pictures(2, (17, 22))
    copy = portable(model)
    assert any(is_lora(name) for name, _ in model.named_parameters())
    assert not any(is_lora(name) for name, _ in copy.named_parameters())
    expected = predict(model, images)[1]
    np.testing.assert_allclose(predict(copy, images)[1], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    # They were no zeros, in which case merging would show nothing.
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data.zero_()
    assert np.abs(predict(model, images)[1] - expected).max() > 0.1


def test_what_cannot_be_exported(documented_error: DocumentedError) -> None:
    init_default_scope("mmseg")
    timm: dict[str, Any] = {"type": "TimmViT", "arch": "vit_tiny_patch16_224"}
    model = MODELS.build(
        {
            "type": "StreamingEncoderDecoder",
            "backbone": timm,
            "decode_head": {"type": "LinearHead", "in_channels": 192, "num_classes": 2},
        }
    )
    with documented_error("a segmentor on a ViT of timm is exported as a graph", ExportError):
        portable(model)
    with documented_error("an encoder without weights is exported as a graph", ExportError):
        portable(encoder(LAYER).to("meta"))
    quantized = encoder(LAYER)
    quantize_encoder(quantized, "int8")
    with documented_error("a quantized encoder is exported as a graph", ExportError):
        portable(quantized)
