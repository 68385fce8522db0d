"""Every decode head of MMSegmentation's registry, on maps that lie in memory as a ViT gives them."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from internvl_seg.segmentation import StreamingEncoderDecoder
from internvl_seg.training.checks.batch_norm import normalises_one_value
from internvl_seg.training.checks.heads import REFINING, REFUSED

C, GRID, PIXELS = 16, 6, 84
ONE: dict[str, Any] = {"in_channels": C, "channels": 8, "num_classes": 3, "norm_cfg": {"type": "BN"}}
TWO = {**ONE, "in_channels": [C, C], "in_index": [-2, -1]}
FOUR = {**ONE, "in_channels": [C] * 4, "in_index": [0, 1, 2, 3]}
# Fields that a head needs beside its width.
HEADS: dict[str, dict[str, Any]] = {
    "ANNHead": {**TWO, "project_channels": 4},
    "DAHead": {**ONE, "pam_channels": 4},
    "DepthwiseSeparableASPPHead": {**ONE, "c1_in_channels": C, "c1_channels": 4, "dilations": (1, 6)},
    "EMAHead": {**ONE, "ema_channels": 8, "num_bases": 4, "num_stages": 3},
    "EncHead": {**TWO, "num_codes": 4},
    "FPNHead": {**FOUR, "feature_strides": [4, 8, 16, 32]},
    "ISAHead": {**ONE, "isa_channels": 4},
    "LightHamHead": {**FOUR, "ham_channels": 8, "ham_kwargs": {"MD_R": 4}},
    "LinearHead": {"in_channels": C, "num_classes": 3},
    "MLPHead": {"in_channels": C, "num_classes": 3, "hidden_channels": 8},
    "SETRMLAHead": {**FOUR, "channels": 32, "mla_channels": 8},
    "SegformerHead": FOUR,
    "SegmenterMaskTransformerHead": {
        **{name: value for name, value in ONE.items() if name != "norm_cfg"},
        "num_layers": 1,
        "num_heads": 2,
        "embed_dims": 8,
    },
    "UPerHead": FOUR,
}
# What these two are made of is no head by itself.
PARTS = {"KernelUpdator", "KernelUpdateHead", "IterativeDecodeHead"}
REGISTERED = sorted(
    name
    for name, cls in MODELS.module_dict.items()
    if ".decode_heads." in cls.__module__ or (isinstance(cls, type) and issubclass(cls, BaseDecodeHead))
)
TRAINED = [name for name in REGISTERED if name not in {*REFUSED, *PARTS, *REFINING}]


def maps(count: int = 2) -> list[Tensor]:
    """Four maps whose channels are innermost, as tokens that were given a height and width."""
    tokens = [torch.randn(count, GRID * GRID, C) for _ in range(4)]
    return [t.transpose(1, 2).unflatten(2, (GRID, GRID)).requires_grad_() for t in tokens]


def samples(count: int = 2) -> list[SegDataSample]:
    label = torch.randint(0, 3, (count, 1, PIXELS, PIXELS))
    return [SegDataSample(gt_sem_seg=PixelData(data=ids)) for ids in label]


def losses(name: str, inputs: Sequence[Tensor]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    head = MODELS.build({"type": name, **HEADS.get(name, ONE)})
    with torch.random.fork_rng():
        found = head.loss(inputs, samples(len(inputs[0])), None)
    return head, sum(value.mean() for key, value in found.items() if "loss" in key)


@pytest.mark.parametrize("name", TRAINED)
def test_it_trains_and_predicts_on_a_vits_maps(name: str) -> None:
    inputs = maps()
    head, loss = losses(name, inputs)
    loss.backward()
    assert any(m.grad is not None and m.grad.any() for m in inputs)
    torch.testing.assert_close(losses(name, [m.detach().contiguous() for m in inputs])[1], loss, rtol=1e-4, atol=1e-5)
    metas = [{"img_shape": (PIXELS, PIXELS), "pad_shape": (PIXELS, PIXELS)}] * 2
    with torch.no_grad():
        assert head.eval().predict(inputs, metas, {}).shape == (2, 3, PIXELS, PIXELS)


@pytest.mark.parametrize("name", TRAINED)
def test_one_image_is_enough_unless_it_is_refused(name: str) -> None:
    told = ""
    try:
        losses(name, maps(count=1))
    except ValueError as error:
        told = str(error)
    refused = normalises_one_value({"type": name, **HEADS.get(name, ONE)})
    assert ("Expected more than 1 value per channel" in told, bool(told)) == (refused, refused)


def segmentor(kind: str, decode_head: Any, **fields: Any) -> Any:
    init_default_scope("mmseg")
    encoder = {"embed_dim": C, "depth": 1, "num_heads": 2, "img_size": PIXELS}
    return MODELS.build(
        ConfigDict(
            type=kind,
            data_preprocessor={"type": "SegDataPreProcessor", "size": (PIXELS, PIXELS)},
            backbone={"type": "InternViT", "arch": encoder, "out_indices": (-1,)},
            decode_head=decode_head,
            train_cfg={},
            test_cfg={"mode": "whole"},
            **fields,
        )
    )


def test_a_head_that_refines_another() -> None:
    first = {"type": "FCNHead", **ONE, "num_convs": 1, "concat_input": False}
    model = segmentor("CascadeEncoderDecoder", [first, {"type": "OCRHead", **ONE, "ocr_channels": 4}], num_stages=2)
    found = model.train().loss(torch.randn(2, 3, PIXELS, PIXELS), samples())
    sum(value.mean() for key, value in found.items() if "loss" in key).backward()


def test_a_head_that_updates_kernels() -> None:
    update = {"type": "KernelUpdateHead", "num_classes": 3, "num_heads": 2, "feedforward_channels": 8}
    update |= {"in_channels": 8, "out_channels": 8, "num_ffn_fcs": 2, "num_mask_fcs": 1}
    update |= {"feat_transform_cfg": {"conv_cfg": {"type": "Conv2d"}, "act_cfg": None}}
    update["kernel_updator_cfg"] = {"type": "KernelUpdator", "in_channels": 8, "feat_channels": 8, "out_channels": 8}
    first = {"type": "FCNHead", **ONE, "num_convs": 1, "concat_input": False}
    head = {
        "type": "IterativeDecodeHead",
        "num_stages": 1,
        "kernel_update_head": [update],
        "kernel_generate_head": first,
    }
    model = segmentor("StreamingEncoderDecoder", head)
    found = model.train().loss(torch.randn(2, 3, PIXELS, PIXELS), samples())
    sum(value.mean() for key, value in found.items() if "loss" in key).backward()
    (predicted,) = model.eval().predict(torch.randn(1, 3, PIXELS, PIXELS))
    assert predicted.pred_sem_seg.data.shape == (1, PIXELS, PIXELS)


class ViewingHead(BaseDecodeHead):
    """A head of one's own that views a map channel by channel."""

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        maps = self._transform_inputs(inputs)
        flat = maps.view(1, -1, *maps.shape[2:])
        return self.cls_seg(flat.view(maps.shape))


def test_a_head_of_ones_own_gets_maps_channel_by_channel() -> None:
    model = segmentor("StreamingEncoderDecoder", {"type": ViewingHead, **ONE, "channels": C})
    assert isinstance(model, StreamingEncoderDecoder)
    found = model.train().loss(torch.randn(2, 3, PIXELS, PIXELS), samples())
    found["decode.loss_ce"].backward()
    (predicted,) = model.eval().predict(torch.randn(1, 3, PIXELS, PIXELS))
    assert predicted.pred_sem_seg.data.shape == (1, PIXELS, PIXELS)
