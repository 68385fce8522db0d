"""The pyramid of the official segmentors."""

from collections.abc import Callable

import pytest
import torch
from mmseg.registry import MODELS

from internvl_seg import InternViT
from internvl_seg.segmentation import FeaturePyramid

from ..conftest import Golden


@torch.no_grad()
def test_the_maps_equal_the_official_ones(golden: Callable[[str], Golden]) -> None:
    model = golden("official_seg_rms_pyramid")
    encoder = InternViT(img_size=42, embed_dim=32, depth=4, num_heads=2)
    encoder.load_state_dict(model.encoder_state())
    pyramid = FeaturePyramid(32)
    pyramid.load_state_dict({name: value for name, value in model.state.items() if name.startswith("up")})
    maps = pyramid(encoder.forward_intermediates(model.image, model.config["out_indices"]))
    for i, got in enumerate(maps):
        torch.testing.assert_close(got, model.expected[str(i)], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_norm_has_the_official_epsilon() -> None:
    pyramid = FeaturePyramid(8)
    for parameter in pyramid.up1[0].parameters():
        parameter.zero_()
    pyramid.up1[0].bias.copy_(torch.arange(8) * 1e-4)  # So small that the epsilon is a good part of the variance.
    maps = [torch.ones(1, 8, 2, 2)] * 4
    before = pyramid.up1[0](maps[0])
    centred = before - before.mean(1, keepdim=True)
    wanted = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(pyramid.up1[1](before), wanted, rtol=1e-3, atol=1e-6)


def test_sizes_and_gradients() -> None:
    pyramid = MODELS.build({"type": "FeaturePyramid", "embed_dim": 8})
    pyramid.init_weights()
    maps = [torch.randn(1, 8, 5, 7) for _ in range(4)]
    out = pyramid(maps)
    assert [tuple(o.shape[-2:]) for o in out] == [(20, 28), (10, 14), (5, 7), (2, 3)]
    sum(o.sum() for o in out).backward()
    assert all(p.grad is not None for p in pyramid.parameters())
    assert pyramid.up2[0].weight.std().item() == pytest.approx((2 / (4 * 8)) ** 0.5, rel=0.2)
    assert not pyramid.up2[0].bias.any()


def test_four_maps_are_needed() -> None:
    with pytest.raises(ValueError, match=r"four maps, but backbone\.out_indices gives 3"):
        FeaturePyramid(8)([torch.zeros(1, 8, 2, 2)] * 3)
