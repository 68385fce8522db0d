"""BatchNorm and a 1x1 convolution."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from internvl_seg.segmentation import LinearHead


def test_it_is_batch_norm_and_a_1x1_convolution() -> None:
    head = MODELS.build({"type": "LinearHead", "in_channels": 6, "num_classes": 4}).train()
    assert set(head.state_dict()) == {
        *(f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        "conv_seg.weight",
        "conv_seg.bias",
    }
    maps = [torch.randn(2, 6, 3, 5), torch.randn(2, 6, 3, 5) * 3 + 1]
    norm = nn.BatchNorm2d(6)
    torch.testing.assert_close(head(maps), head.conv_seg(norm(maps[-1])))
    torch.testing.assert_close(head.norm.running_mean, norm.running_mean)


def test_several_maps_are_concatenated() -> None:
    head = LinearHead(in_channels=[4, 4, 4], num_classes=5, in_index=[0, 2, 1]).eval()
    maps = [torch.randn(1, 4, 6, 7) for _ in range(3)]
    want = head.conv_seg(head.norm(torch.cat([maps[0], maps[2], maps[1]], dim=1)))
    torch.testing.assert_close(head(maps), want)


def test_dropout_is_off_unless_asked_for() -> None:
    assert LinearHead(in_channels=4, num_classes=5).dropout is None
    assert LinearHead(in_channels=4, num_classes=5, dropout_ratio=0.3).dropout.p == pytest.approx(0.3)


def test_its_fields_are_those_of_mmsegs_heads() -> None:
    head = LinearHead(4, 5, ignore_index=7, align_corners=True, loss_decode={"type": "DiceLoss"})
    assert (head.ignore_index, head.align_corners, type(head.loss_decode).__name__) == (7, True, "DiceLoss")
    with pytest.raises(TypeError, match="num_convs"):
        LinearHead(4, 5, num_convs=2)
