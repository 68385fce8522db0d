"""The streaming segmentor against MMSegmentation's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from internvl_seg import InternViT
from internvl_seg.segmentation import segmentor
from internvl_seg.segmentation.linear_head import LinearHead
from internvl_seg.segmentation.memory import measure

from ..error_table import DocumentedError
from .peers import build, build_both, samples


@MODELS.register_module()
class SharpeningHead(LinearHead):
    """A head that does more to its logits than to resize them."""

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        return BaseDecodeHead.predict_by_feat(self, seg_logits, batch_img_metas) ** 3


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], Tensor, list[dict[str, Any]]]:
    """A segmentor, a batch that MMSegmentation's takes, too, and what became of its images."""
    crop = [2 * draw(st.integers(1, 12)) for _ in range(2)]
    mode = draw(st.sampled_from(["slide", "whole"]))
    # MMSegmentation does not pad windows: what is not larger than one has to be whole patches.
    size = [
        draw(st.integers(c + 1, 70)) if mode == "slide" and draw(st.booleans()) else 2 * draw(st.integers(1, c // 2))
        for c in crop
    ]
    model = {
        "num_classes": draw(st.sampled_from([2, 3, 20, 150])),
        "binary": draw(st.integers(0, 4)) == 0,
        "align_corners": draw(st.booleans()),
        "mode": mode,
        "crop_size": tuple(crop),
        "stride": tuple(draw(st.integers(max(1, c // 4), c)) for c in crop),
        "window_batch": draw(st.sampled_from([None, 1, 3, 100])),
        "max_memory": draw(st.sampled_from([None, 1, 100_000])),
        "keep_logits": draw(st.booleans()),
    }
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    images = torch.randn(draw(st.integers(1, 3)), 3, *size, generator=generator)
    padding = [draw(st.integers(0, (side - 1) // 2)) for side in (size[1], size[1], size[0], size[0])]
    metas = [
        {
            draw(st.sampled_from(["padding_size", "img_padding_size"])): padding,
            "img_shape": tuple(size),
            "ori_shape": (draw(st.integers(1, 150)), draw(st.integers(1, 150))),
            "flip": draw(st.booleans()),
            "flip_direction": draw(st.sampled_from(["horizontal", "vertical"])),
        }
        for _ in images
    ]
    return model, images, metas


@given(cases())
@settings(max_examples=80)
def test_labels_and_logits_are_mmsegmentations(case: tuple[dict[str, Any], Tensor, list[dict[str, Any]]]) -> None:
    model, images, metas = case
    theirs, ours = build_both(**model)
    with torch.no_grad():
        want = theirs.predict(images, samples(*metas))
    for expected, got in zip(want, ours.predict(images, samples(*metas)), strict=True):
        assert got.pred_sem_seg.shape == expected.pred_sem_seg.shape
        assert got.pred_sem_seg.data.dtype == torch.int64
        logits = expected.seg_logits.data
        if model["keep_logits"]:
            torch.testing.assert_close(got.seg_logits.data, logits, rtol=1e-5, atol=1e-4)
        else:
            assert "seg_logits" not in got
        differs = (got.pred_sem_seg.data != expected.pred_sem_seg.data)[0]
        if differs.any():  # Only where two classes, or one and the threshold, tie.
            highest = logits.topk(2, dim=0).values if len(logits) > 1 else torch.stack([logits, logits * 0 + 0.4])[:, 0]
            assert (highest[0] - highest[1])[differs].abs().max() < 1e-4


def test_as_many_labels_are_equal_as_promised() -> None:
    theirs, ours = build_both(num_classes=150, mode="slide", crop_size=(64, 64), stride=(42, 42))
    images, meta = torch.randn(1, 3, 200, 301), {"img_shape": (200, 301), "ori_shape": (900, 1201)}
    with torch.no_grad():
        want = theirs.predict(images, samples(meta))[0].pred_sem_seg.data
    got = ours.predict(images, samples(meta))[0].pred_sem_seg.data
    assert len(want.unique()) > 20
    assert (got != want).float().mean() <= 1e-5


@pytest.mark.parametrize("size", [(1, 1), (1, 33), (17, 1), (3, 5), (7, 40)])
@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_any_size_is_taken_padded_as_mmsegmentation_pads(size: tuple[int, int], mode: str) -> None:
    theirs, ours = build_both(mode=mode, crop_size=(8, 8), stride=(5, 5))
    image = torch.randn(1, 3, *size)
    padded = [-(-side // 2) * 2 if mode == "whole" or side < 8 else side for side in size]
    below, right = padded[0] - size[0], padded[1] - size[1]
    meta = {"img_shape": tuple(padded), "ori_shape": (20, 30), "img_padding_size": (0, right, 0, below)}
    with torch.no_grad():
        want = theirs.predict(torch.nn.functional.pad(image, (0, right, 0, below)), samples(meta))
    got = ours.predict(image, samples({"ori_shape": (20, 30)}))
    assert got[0].pred_sem_seg.data.equal(want[0].pred_sem_seg.data)


def test_without_samples_labels_have_the_size_of_the_input() -> None:
    theirs, ours = build_both(mode="slide", crop_size=(8, 8), stride=(5, 5))
    images = torch.randn(2, 3, 12, 19)
    with torch.no_grad():
        want = theirs.predict(images)
    for expected, got in zip(want, ours.predict(images), strict=True):
        assert got.pred_sem_seg.data.equal(expected.pred_sem_seg.data)


@pytest.mark.parametrize("step", ["test_step", "val_step"])
def test_images_of_a_batch_may_differ_in_size(step: str) -> None:
    ours = build("StreamingEncoderDecoder", mode="whole")
    images = [torch.randn(3, *size) for size in ((8, 10), (4, 6), (8, 10))]
    metas = [{"ori_shape": tuple(image.shape[1:])} for image in images]
    got = getattr(ours, step)({"inputs": images, "data_samples": samples(*metas)})
    for image, meta, sample in zip(images, metas, got, strict=True):
        (alone,) = ours.predict(image[None], samples(meta))
        assert sample.pred_sem_seg.data.equal(alone.pred_sem_seg.data)


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_heads_that_do_more_than_resize_are_asked_for_full_size(mode: str) -> None:
    models = []
    for kind in ("EncoderDecoder", "StreamingEncoderDecoder"):
        model = build(kind, mode=mode, crop_size=(8, 8), stride=(5, 5))
        model.decode_head.__class__ = SharpeningHead
        models.append(model)
    models[1].test_cfg.keep_logits = True
    images, meta = torch.randn(1, 3, 12, 18), {"ori_shape": (31, 20)}
    with torch.no_grad():
        want = models[0].predict(images, samples(meta | {"img_shape": images.shape[2:]}))[0].seg_logits.data
    got = models[1].predict(images, samples(meta))[0].seg_logits.data
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_every_window_is_encoded_once_in_batches() -> None:
    ours = build("StreamingEncoderDecoder", mode="slide", crop_size=(8, 8), stride=(4, 4), window_batch=6)
    seen: list[int] = []
    ours.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    ours.predict(torch.randn(1, 3, 20, 16))  # Four rows of three windows, two rows at once.
    assert seen == [6, 6]
    ours.predict(torch.randn(3, 3, 8, 8), None)  # Six pictures of one window fit a batch.
    assert seen == [6, 6, 3]


@pytest.mark.parametrize("neck", [False, True])
def test_windows_share_the_reading_of_blocks(neck: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arch = {"embed_dim": 8, "depth": 5, "num_heads": 2, "patch_size": 2, "img_size": 8}
    torch.save({"module": InternViT(**arch).state_dict()}, tmp_path / "encoder.pth")
    backbone = {"arch": arch, "init_cfg": {"type": "Pretrained", "checkpoint": str(tmp_path / "encoder.pth")}}
    sliding = {"mode": "slide", "crop_size": (8, 8), "stride": (4, 4)}
    whole = build("StreamingEncoderDecoder", **sliding, window_batch=1, backbone=backbone)
    ours = build("StreamingEncoderDecoder", **sliding, backbone=backbone | {"blocks_in_memory": 3})
    decoded: list[int] = []
    if neck:
        for model in (whole, ours):
            torch.manual_seed(2)
            model.neck = torch.nn.ModuleList([torch.nn.Conv2d(8, 8, 1)])
            model.neck.forward = lambda maps, neck=model.neck: [neck[0](m) for m in maps]
    ours.decode_head.register_forward_pre_hook(lambda module, inputs: decoded.append(len(inputs[0][0])))
    read: list[int] = []
    fetch = ours.backbone.blocks.read
    ours.backbone.blocks.read = lambda number, block: [read.append(number), fetch(number, block)]
    monkeypatch.setattr(segmentor, "choose_sweep", lambda kept, device: 24)
    images = torch.randn(2, 3, 20, 16)  # Of twelve windows each.
    labels = [sample.pred_sem_seg.data for sample in ours.predict(images)]
    assert read == [1, 2, 3, 4]  # Once for all of them.
    assert decoded == [1] * 24
    for got, want in zip(labels, whole.predict(images), strict=True):
        assert torch.equal(got, want.pred_sem_seg.data)
    # Of little memory, as many windows as it holds.
    monkeypatch.setattr(segmentor, "choose_sweep", lambda kept, device: 6)
    ours._batches.clear()
    read.clear()
    ours.predict(images[:1])
    assert read == [1, 2, 3, 4] * 2


def test_the_automatic_batch_measures_the_first_window() -> None:
    ours = build("StreamingEncoderDecoder", mode="slide", crop_size=(8, 8), stride=(4, 4))
    seen: list[int] = []
    ours.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    ours.predict(torch.randn(1, 3, 16, 16))
    assert seen == [1, 2, 3, 3]
    seen.clear()
    ours.predict(torch.randn(1, 3, 16, 16))
    assert seen == [9]


def test_gradients_and_autocast_stay_outside() -> None:
    ours = build("StreamingEncoderDecoder", mode="whole", keep_logits=True)
    images = torch.randn(1, 3, 16, 16)
    want = ours.predict(images)[0].seg_logits.data
    assert not want.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        got = ours.predict(images)[0].seg_logits.data
    assert got.dtype == torch.float32
    # Of the encoder and the head alone: bf16 logits are off by a few percent, bf16 resizing would make steps of them.
    assert len(got[0].unique()) > 100


def test_a_neck_that_halves_maps_gets_two_patches() -> None:
    ours = build("StreamingEncoderDecoder", mode="whole")
    ours.neck = torch.nn.Identity()
    ours.neck.min_grid = 2
    assert ours._padded((1, 7)) == [4, 8]


def test_a_wrong_field_is_found_when_the_model_is_built(documented_error: DocumentedError) -> None:
    with documented_error("test_cfg has an unknown mode", ValueError):
        build("StreamingEncoderDecoder", mode="slides")
    with documented_error("test_cfg has an unknown field", ValueError):
        build("StreamingEncoderDecoder", mode="whole", window_bacth=2)
    with documented_error("windows leave pixels out", ValueError):
        build("StreamingEncoderDecoder", mode="slide", crop_size=(8, 8), stride=(9, 4))


def test_memory_does_not_grow_with_classes() -> None:
    def peak(classes: int) -> int:
        ours = build("StreamingEncoderDecoder", classes, mode="slide", crop_size=(16, 16), stride=(10, 10))
        images = torch.randn(1, 3, 100, 100)
        ours.predict(images)  # The first time, the window batch is found out.
        return measure(lambda: ours.predict(images, samples({"ori_shape": (500, 600)})))[1]

    assert peak(1000) < 1.3 * peak(10)
