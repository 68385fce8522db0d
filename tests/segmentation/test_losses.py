"""Every loss of MMSegmentation's registry, as heads call it, on tiny maps: those of ours and those that are refused."""

from typing import Any

import mmseg.models.losses as official
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from internvl_seg.segmentation import LinearHead
from internvl_seg.training.checks.losses import REFUSED

REGISTERED = {
    name
    for name, cls in MODELS.module_dict.items()
    if cls.__module__.startswith("mmseg.models.losses") or cls.__module__ == "internvl_seg.segmentation.losses"
}
# Fields with which a loss can be built, where its defaults do not do.
FIELDS: dict[str, list[dict[str, Any]]] = {
    "CrossEntropyLoss": [{}, {"avg_non_ignore": True}, {"use_sigmoid": True}, {"reduction": "none"}],
    "DiceLoss": [{}, {"use_sigmoid": False}, {"naive_dice": True}],
    "FocalLoss": [{}, {"gamma": 1, "alpha": [0.2, 0.3, 0.4]}, {"reduction": "none"}],
    "LovaszLoss": [{"reduction": "none"}, {"per_image": True}, {"per_image": True, "classes": [0, 2]}],
    "OhemCrossEntropy": [{}, {"min_kept": 5}],
}
CASES = [(name, fields) for name in sorted(REGISTERED - set(REFUSED)) for fields in FIELDS.get(name, [{}])]
WEIGHTED = [case for case in CASES if case[0] != "DiceLoss"]
C, SIZE = 3, 6


def batch(seed: int, ignored: float, classes: int = C) -> tuple[Tensor, Tensor]:
    """Logits, and class ids with a share of ignored pixels; the second image has none that is labelled if all are."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, max(classes, 2), (2, SIZE, SIZE), generator=generator)
    label[torch.rand(label.shape, generator=generator) < ignored] = 255
    return torch.randn(2, classes, SIZE, SIZE, generator=generator).requires_grad_(), label


def call(loss: dict[str, Any], logits: Tensor, label: Tensor, ignore_index: int = 255) -> Tensor:
    """As ``BaseDecodeHead.loss_by_feat`` and MMEngine's ``parse_losses`` do."""
    value: Tensor = MODELS.build(loss)(logits, label, weight=None, ignore_index=ignore_index).mean()
    return value


def gradient(loss: dict[str, Any], logits: Tensor, label: Tensor, ignore_index: int = 255) -> Tensor:
    (found,) = torch.autograd.grad(call(loss, logits, label, ignore_index), logits)
    return found


@pytest.mark.parametrize(("name", "fields"), CASES)
@settings(max_examples=8)
@given(
    seed=st.integers(0, 1000), ignored=st.sampled_from([0.0, 0.5, 0.97, 1.0]), ignore_index=st.sampled_from([255, 7])
)
def test_ignored_pixels_teach_nothing(
    name: str, fields: dict[str, Any], seed: int, ignored: float, ignore_index: int
) -> None:
    logits, label = batch(seed, ignored)
    label[label == 255] = ignore_index
    found = gradient({"type": name, **fields}, logits, label, ignore_index)
    assert found.isfinite().all()
    assert not found.movedim(1, -1)[label == ignore_index].any()
    # Nor does what stands there change the loss.
    other = torch.where((label == ignore_index)[:, None], logits * 3 - 1, logits)
    torch.testing.assert_close(
        call({"type": name, **fields}, other, label, ignore_index),
        call({"type": name, **fields}, logits, label, ignore_index),
    )


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_it_trains_a_linear_head(name: str, fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    loss = {"type": name, **fields}
    head = LinearHead(
        in_channels=4, num_classes=C, loss_decode=[loss, {"type": "CrossEntropyLoss", "loss_weight": 0.0}]
    )
    # Class 2 is found by the first channel, class 1 by the second.
    maps, label = torch.randn(2, 4, SIZE, SIZE), torch.zeros(2, SIZE, SIZE, dtype=torch.int64)
    label[:, :, 2:4], label[:, :, 4:] = 1, 2
    maps[:, 0, :, 4:] += 4
    maps[:, 1, :, 2:4] += 4
    samples = [SegDataSample(gt_sem_seg=PixelData(data=ids[None])) for ids in label]
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    values = []
    for _ in range(25):
        losses = head.loss([maps], samples, None)
        value = sum(v.mean() for key, v in losses.items() if "loss" in key)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    # The distance of a prediction's border falls to nothing as it becomes right.
    assert values[-1] < 0.8 * values[0]
    assert (head([maps]).argmax(1) == label).float().mean() > 0.8


@pytest.mark.parametrize(("name", "fields"), WEIGHTED)
def test_class_weights_weigh(name: str, fields: dict[str, Any]) -> None:
    logits, label = batch(0, 0.3)
    loss = {"type": name, **fields}
    weighted = call({**loss, "class_weight": [0.5, 1.0, 3.0]}, logits, label)
    assert weighted != call(loss, logits, label)
    torch.testing.assert_close(
        call({**loss, "class_weight": [1.0] * C}, logits, label),
        call({**loss, "avg_non_ignore": True} if name == "CrossEntropyLoss" and not fields else loss, logits, label),
    )


def test_class_weights_from_a_file(tmp_path: Any) -> None:
    np.save(tmp_path / "weights.npy", [0.5, 1.0, 3.0])
    logits, label = batch(0, 0.3)
    for name, fields in WEIGHTED:
        loss = {"type": name, **fields}
        read = call({**loss, "class_weight": str(tmp_path / "weights.npy")}, logits, label)
        torch.testing.assert_close(read, call({**loss, "class_weight": [0.5, 1.0, 3.0]}, logits, label))


def test_weighted_cross_entropy_is_pytorchs() -> None:
    logits, label = batch(1, 0.4)
    weights = [0.5, 1.0, 3.0]
    want = F.cross_entropy(logits, label, torch.tensor(weights), ignore_index=255)
    for average in (False, True):
        loss = {"type": "CrossEntropyLoss", "class_weight": weights, "avg_non_ignore": average}
        torch.testing.assert_close(call(loss, logits, label), want)


def test_weighted_sigmoids_are_pytorchs() -> None:
    """On maps as wide as there are classes, too, where MMSegmentation weighs columns."""
    logits = torch.randn(2, C, SIZE, C)
    label = torch.randint(0, C, (2, SIZE, C))
    weights = torch.tensor([0.5, 1.0, 3.0])
    one_hot = F.one_hot(label, C).movedim(-1, 1).float()
    want = F.binary_cross_entropy_with_logits(logits, one_hot, pos_weight=weights[:, None, None])
    loss = {"type": "CrossEntropyLoss", "use_sigmoid": True, "class_weight": weights.tolist()}
    torch.testing.assert_close(call(loss, logits, label), want)


@pytest.mark.parametrize(
    ("name", "fields", "classes"),
    [
        ("CrossEntropyLoss", {}, C),
        ("CrossEntropyLoss", {"class_weight": [0.5, 1.0, 3.0]}, C),
        ("CrossEntropyLoss", {"use_sigmoid": True}, C),
        ("DiceLoss", {}, C),
        ("DiceLoss", {"use_sigmoid": False, "naive_dice": True, "reduction": "sum"}, C),
        ("TverskyLoss", {"class_weight": [0.5, 1.0, 3.0]}, C),
        ("LovaszLoss", {"reduction": "none", "class_weight": [0.5, 1.0, 3.0]}, C),
        ("LovaszLoss", {"per_image": True}, C),
        ("OhemCrossEntropy", {"min_kept": 20, "thres": 0.4}, C),
        ("HuasdorffDisstanceLoss", {}, 2),
    ],
)
def test_without_ignored_pixels_it_is_mmsegmentations(name: str, fields: dict[str, Any], classes: int) -> None:
    logits, label = batch(2, 0.0, classes)
    theirs = getattr(official, name)(**fields)
    torch.testing.assert_close(call({"type": name, **fields}, logits, label), theirs(logits, label).mean())


def test_focal_loss_is_torchvisions() -> None:
    from torchvision.ops import sigmoid_focal_loss

    logits, label = batch(3, 0.0)
    one_hot = F.one_hot(label, C).movedim(-1, 1).float()
    want = sigmoid_focal_loss(logits, one_hot, alpha=0.3, gamma=1.5, reduction="mean")
    torch.testing.assert_close(call({"type": "FocalLoss", "alpha": 0.3, "gamma": 1.5}, logits, label), want)
    each = MODELS.build({"type": "FocalLoss", "alpha": 0.3, "gamma": 1.5, "reduction": "none"})(logits, label)
    torch.testing.assert_close(each, sigmoid_focal_loss(logits, one_hot, alpha=0.3, gamma=1.5))


@pytest.mark.parametrize(
    "loss",
    [
        {"type": "CrossEntropyLoss", "use_sigmoid": True},
        {"type": "CrossEntropyLoss", "use_sigmoid": True, "class_weight": [2.0]},
        {"type": "DiceLoss"},
        {"type": "DiceLoss", "use_sigmoid": False},
        {"type": "FocalLoss"},
        {"type": "LovaszLoss", "loss_type": "binary", "reduction": "none"},
        {"type": "LovaszLoss", "loss_type": "binary", "per_image": True},
    ],
)
@pytest.mark.parametrize("ignored", [0.0, 0.5, 1.0])
def test_one_output_is_of_class_1(loss: dict[str, Any], ignored: float) -> None:
    logits, label = batch(4, ignored, classes=1)
    found = gradient(loss, logits, label)[:, 0]
    assert not found[label == 255].any()
    assert (found[label == 1] <= 0).all()
    assert (found[label == 0] >= 0).all()
    assert (ignored == 1) or found.any()


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "FocalLoss", "DiceLoss", "TverskyLoss"])
def test_a_samplers_weights_are_of_pixels(name: str) -> None:
    logits, label = batch(5, 0.2)
    weight = (torch.rand(label.shape) < 0.5).float()
    loss = MODELS.build({"type": name})(logits, label, weight=weight, ignore_index=255)
    (found,) = torch.autograd.grad(loss.mean(), logits)
    assert not found.movedim(1, -1)[weight == 0].any()
    assert found.any()


def test_distances_of_every_class() -> None:
    """The distance of three columns of classes, by hand."""
    label = torch.tensor([[[0, 1, 2]]])
    logits = 30 * F.one_hot(torch.tensor([[[0, 1, 1]]]), C).movedim(-1, 1).float()
    # Class 1 is found one column too far: distance 1 of both pixels there; class 2 is missed at its one pixel.
    wrong = call({"type": "HuasdorffDisstanceLoss"}, logits, label)
    # Of class 1 the missed pixel is 2 from its border in the prediction, which touches the edge; of class 2, 1.
    torch.testing.assert_close(wrong, torch.tensor((2.0**2 / 3 + 1 / 3) / C), atol=1e-4, rtol=0)
