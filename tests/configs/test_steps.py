"""A real training step and a real test step of every distinct segmentor and protocol, around a small encoder."""

import json
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from . import SEGMENTATION, read

CHANNELS = 32


def shrink(config: Config) -> Config:
    """The same model and optimizer around a tiny encoder, on crops of 84 pixels and with four classes."""
    model = config.model
    blocks = len(model.backbone.out_indices)
    model.backbone.arch = {"embed_dim": CHANNELS, "depth": blocks, "num_heads": 2, "img_size": 42}
    model.backbone.out_indices = tuple(range(blocks))
    model.backbone.init_cfg = None
    if "img_size" in model.backbone:
        model.backbone.img_size = 84
    model.data_preprocessor.size = (84, 84)
    if model.test_cfg.mode == "slide":
        model.test_cfg.update(crop_size=(84, 84), stride=(56, 56))
    if "neck" in model:
        model.neck.embed_dim = CHANNELS
    for head in (model.decode_head, model.get("auxiliary_head")):
        if head is not None:
            several = isinstance(head.in_channels, (list, tuple))
            head.in_channels = [CHANNELS] * len(head.in_channels) if several else CHANNELS
            head.num_classes = 4
            head.loss_decode.pop("class_weight", None)
            if "channels" in head:
                head.channels = 16
    return config


def distinct() -> dict[str, Config]:
    """One config of every model and optimizer that differ in more than the release and the data set."""
    init_default_scope("mmseg")
    found: dict[str, tuple[str, Config]] = {}
    for name in SEGMENTATION:
        config = shrink(read(name))
        key = json.dumps([config.model.to_dict(), config.optim_wrapper.to_dict()], sort_keys=True)
        found.setdefault(key, (name, config))
    return dict(found.values())


DISTINCT = distinct()


def test_they_stand_for_all_segmentors() -> None:
    print(f"{len(DISTINCT)} distinct models and protocols in {len(SEGMENTATION)} configs")
    heads = {(c.model.decode_head.type, c.model.backbone.get("frozen", False)) for c in DISTINCT.values()}
    assert {(head, frozen) for head in ("LinearHead", "UPerHead") for frozen in (True, False)} <= heads
    assert any("lora" in c.model.backbone for c in DISTINCT.values())


@pytest.mark.parametrize("name", DISTINCT)
def test_it_trains_and_predicts(name: str) -> None:
    init_default_scope("mmseg")
    config = DISTINCT[name].copy()
    # The first steps of a warm-up are too small to be seen.
    config.optim_wrapper.optimizer.lr = 0.1
    model = MODELS.build(config.model)
    model.init_weights()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    optim_wrapper.zero_grad = lambda: None  # The gradients are looked at.

    def sample() -> SegDataSample:
        labels = torch.randint(4, (1, 84, 84))
        meta = {"img_shape": (84, 84), "ori_shape": (81, 89), "pad_shape": (84, 84)}
        return SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo=meta)

    images: Any = torch.randint(256, (2, 3, 84, 84), dtype=torch.uint8)
    losses = model.train().train_step({"inputs": list(images), "data_samples": [sample(), sample()]}, optim_wrapper)
    assert torch.isfinite(losses["loss"])

    backbone = config.model.backbone
    for key, parameter in model.named_parameters():
        trained = not backbone.get("frozen", False) or not key.startswith("backbone.") or ".lora_" in key
        facts = (parameter.requires_grad, parameter.grad is not None, parameter in optim_wrapper.optimizer.state)
        assert facts == (trained,) * 3, key
        # An adapter's first factor waits for the second, which begins as zero; biases before a norm do nothing.
        if trained and ".lora_A" not in key and parameter.grad.abs().max() > 1e-6:
            assert not torch.equal(parameter, before[key]), key
        if not trained:
            assert torch.equal(parameter, before[key]), key
    assert all(p.dtype == torch.float32 for key, p in model.named_parameters() if not key.startswith("backbone."))

    model.test_cfg.keep_logits = True
    (prediction,) = model.eval().test_step({"inputs": [images[0]], "data_samples": [sample()]})
    assert prediction.pred_sem_seg.data.shape == (1, 81, 89)
    assert prediction.seg_logits.data.dtype == torch.float32
