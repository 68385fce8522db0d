"""BatchNorm and a 1x1 convolution."""

from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from internvl_seg.segmentation import LinearHead, MLPHead


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


def test_what_heads_of_mmsegmentation_are_given() -> None:
    head = LinearHead(4, 5, channels=4, input_transform=None, in_index=-2, act_cfg=None, threshold=None)
    assert (head.channels, head.in_index) == (4, -2)
    head = LinearHead([4, 6], 5, in_index=[0, -1], channels=10, input_transform="resize_concat")
    assert head.eval()([torch.randn(1, 4, 6, 6), torch.randn(1, 9, 1, 1), torch.randn(1, 6, 3, 3)]).shape == (
        1,
        5,
        6,
        6,
    )
    sampled = LinearHead(4, 5, sampler={"type": "OHEMPixelSampler", "thresh": 0.7, "min_kept": 10})
    label = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 6, 6, dtype=torch.int64)))
    assert sampled.loss([torch.randn(1, 4, 6, 6)], [label], None)["loss_ce"].isfinite()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"channels": 256}, "channels=256.*Leave channels out, or take MLPHead"),
        ({"input_transform": "multiple_select", "in_channels": [4, 4], "in_index": [0, 1]}, "concatenates"),
        ({"input_transform": "resize_concat"}, "input_transform='resize_concat' of several.*such as .4, 4."),
        ({"in_index": [0, 1]}, r"in_index=\[0, 1\] of several"),
        ({"in_channels": [4, 4]}, "in_index=-1 of one"),
        ({"in_channels": [4, 4], "in_index": [0, 1, 2]}, "of 2 maps, but .* of 3"),
        ({"act_cfg": {"type": "ReLU"}}, "act_cfg=.*hidden layers"),
        ({"conv_cfg": {"type": "Conv2d"}}, "conv_cfg=.*hidden layers"),
        ({"norm_cfg": {"type": "LN"}}, "norm_cfg=.*not for maps"),
    ],
)
def test_fields_that_do_not_fit_are_refused_in_words(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LinearHead(**{"in_channels": 4, "num_classes": 5, **fields})


def test_an_mlps_width_has_two_names() -> None:
    torch.manual_seed(0)
    head = MLPHead(hidden_channels=8, in_channels=4, num_classes=5).eval()
    other = MLPHead(channels=8, in_channels=4, num_classes=5, act_cfg={"type": "ReLU"}).eval()
    other.load_state_dict(head.state_dict())
    maps = torch.randn(1, 4, 3, 3)
    hidden = head.first(head.norm(maps))
    torch.testing.assert_close(head([maps]), head.conv_seg(nn.functional.gelu(hidden)))
    torch.testing.assert_close(other([maps]), head.conv_seg(hidden.relu()))
    for widths in ({}, {"channels": 8, "hidden_channels": 16}):
        with pytest.raises(ValueError, match="width of the hidden layer"):
            MLPHead(in_channels=4, num_classes=5, **widths)


def test_its_fields_are_those_of_mmsegs_heads() -> None:
    head = LinearHead(4, 5, ignore_index=7, align_corners=True, loss_decode={"type": "DiceLoss"})
    assert (head.ignore_index, head.align_corners, type(head.loss_decode).__name__) == (7, True, "DiceLoss")
    with pytest.raises(TypeError, match="num_convs"):
        LinearHead(4, 5, num_convs=2)
