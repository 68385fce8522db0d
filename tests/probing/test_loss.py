"""The loss of many heads against MMSegmentation's, one by one."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmseg.models.losses import CrossEntropyLoss
from torch import Tensor
from torch.testing import assert_close

from internvl_seg.probing.loss import CrossEntropy, Grid, cross_entropy, resized_cross_entropy

FIELDS = ({}, {"class_weight": [0.5, 2.0, 1.0]}, {"avg_non_ignore": True}, {"loss_weight": 0.4})
SIDE = st.integers(1, 9)


def draw(heads: int, batch: int, low: tuple[int, int], high: tuple[int, int]) -> tuple[Tensor, Tensor]:
    labels = torch.randint(0, 3, (batch, *high))
    labels[torch.rand(labels.shape) < 0.2] = 255
    return torch.randn(heads, 3, batch, *low, requires_grad=True), labels


def expected(logits: Tensor, labels: Tensor, fields: dict, align_corners: bool = False) -> Tensor:
    """Of every head, what MMSegmentation's head computes."""
    size = labels.shape[-2:]
    loss = CrossEntropyLoss(**fields)
    maps = [F.interpolate(one.transpose(0, 1), size, mode="bilinear", align_corners=align_corners) for one in logits]
    return torch.stack([loss(one, labels, ignore_index=255) for one in maps])


@pytest.mark.parametrize("fields", FIELDS, ids=str)
@given(low=st.tuples(SIDE, SIDE), high=st.tuples(st.integers(1, 40), st.integers(1, 40)), align=st.booleans())
def test_values_and_gradients_are_mmsegmentations(
    fields: dict, low: tuple[int, int], high: tuple[int, int], align: bool
) -> None:
    logits, labels = draw(3, 2, low, high)
    labels[0, 0, 0] = 1  # MMSegmentation divides by zero where no pixel has a label.
    found = resized_cross_entropy(logits, labels, Grid(low, high, align_corners=align), CrossEntropy(**fields))
    wanted = expected(logits, labels, fields, align)
    upstream = torch.tensor([1.0, -2.0, 0.5])
    gradients = [torch.autograd.grad(losses, logits, upstream)[0] for losses in (found, wanted)]
    assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = draw(5, 4, (3, 4), (20, 30))
    grid = Grid((3, 4), (20, 30))
    whole = resized_cross_entropy(logits, labels, grid, CrossEntropy())
    monkeypatch.setattr("internvl_seg.probing.loss._CHUNK", 3 * 20 * 30 * 2)
    parts = resized_cross_entropy(logits, labels, grid, CrossEntropy())
    assert_close(parts, whole)
    assert_close(*(torch.autograd.grad(losses.sum(), logits)[0] for losses in (parts, whole)))


def test_a_label_that_was_ruled_out_has_the_loss_of_its_logit() -> None:
    logits = torch.tensor([0.0, 200.0, -5.0]).view(1, 3, 1, 1, 1).requires_grad_()
    labels = torch.zeros(1, 2, 2, dtype=torch.uint8)
    found = resized_cross_entropy(logits, labels, Grid((1, 1), (2, 2)), CrossEntropy())
    assert_close(found, torch.tensor([200.0]))
    assert_close(torch.autograd.grad(found.sum(), logits)[0].flatten(), torch.tensor([-1.0, 1.0, 0.0]))


def test_bfloat16_logits_have_bfloat16_gradients_of_a_float32_loss() -> None:
    logits, labels = draw(3, 2, (3, 4), (20, 30))
    half = logits.detach().bfloat16().requires_grad_()
    found, wanted = (
        resized_cross_entropy(one, labels, Grid((3, 4), (20, 30)), CrossEntropy()) for one in (half, half.float())
    )
    assert_close(found, wanted)
    gradients = [torch.autograd.grad(losses.sum(), half)[0] for losses in (found, wanted)]
    assert gradients[0].dtype == torch.bfloat16
    assert_close(*gradients)


@given(stride=st.integers(1, 5), high=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_the_phases_of_a_stride_share_out_all_pixels(stride: int, high: tuple[int, int]) -> None:
    ids = torch.arange(high[0] * high[1]).view(high)
    parts = [
        Grid((2, 2), high, stride, (down, across)).labels(ids)
        for down in range(min(stride, high[0]))
        for across in range(min(stride, high[1]))
    ]
    assert sorted(torch.cat([part.flatten() for part in parts]).tolist()) == ids.flatten().tolist()


def test_a_stride_compares_the_pixels_it_names() -> None:
    logits, labels = draw(1, 2, (3, 4), (20, 30))
    grid = Grid((3, 4), (20, 30), 4, (1, 3))
    found = resized_cross_entropy(logits, labels, grid, CrossEntropy(avg_non_ignore=True))
    others = torch.full_like(labels, 255)
    others[:, 1::4, 3::4] = labels[:, 1::4, 3::4]
    assert_close(found, expected(logits, others, {"avg_non_ignore": True}))


def test_labels_of_whole_images() -> None:
    logits, labels = torch.randn(4, 3, 6), torch.tensor([0, 1, 2, 2, 1, 0])
    found = cross_entropy(logits, labels, CrossEntropy(ignore_index=-1))
    assert_close(found, torch.stack([F.cross_entropy(one.T, labels) for one in logits]))


def test_a_batch_without_labels_has_no_gradient() -> None:
    logits, labels = draw(1, 1, (2, 2), (4, 4))
    loss = CrossEntropy(class_weight=[1.0, 2.0, 3.0])
    found = resized_cross_entropy(logits, torch.full_like(labels, 255), Grid((2, 2), (4, 4)), loss)
    assert found.item() == 0
    assert not torch.autograd.grad(found.sum(), logits)[0].any()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"loss_decode": {"type": "DiceLoss"}}, "DiceLoss"),
        ({"loss_decode": [{"type": "CrossEntropyLoss"}, {"type": "DiceLoss"}]}, "DiceLoss"),
        ({"loss_decode": 3}, "loss_decode=3"),
        ({"loss_decode": {"use_sigmoid": True}}, r"loss_decode\.use_sigmoid=True"),
        ({"loss_decode": {"use_mask": True}}, r"loss_decode\.use_mask=True"),
        ({"loss_decode": {"reduction": "sum"}}, r"loss_decode\.reduction='sum'"),
        ({"loss_decode": {"label_smoothing": 0.1}}, r"loss_decode\.label_smoothing=0\.1 is a field that"),
        ({"loss_decode": {"avg_non_ignore": "yes"}}, r"avg_non_ignore='yes'"),
        ({"loss_decode": {"loss_weight": float("nan")}}, "loss_weight=nan"),
        ({"loss_decode": {"loss_weight": -1.0}}, r"loss_weight=-1\.0"),
        ({"loss_decode": {"class_weight": [1.0, 2.0]}}, "2 weights for 3 classes"),
        ({"loss_decode": {"class_weight": [1.0, 2.0, 3.0, 4.0]}}, "4 weights for 3 classes"),
        ({"loss_decode": {"class_weight": [0, 0, 0]}}, "no weight above 0"),
        ({"loss_decode": {"class_weight": [1.0, float("nan"), 1.0]}}, "class_weight=.*not a list of numbers"),
        ({"loss_decode": {"class_weight": "weights.npy"}}, r"class_weight='weights\.npy'"),
        ({"out_channels": 1, "num_classes": 2}, r"out_channels=1 with num_classes=2"),
        ({"ignore_index": 2.5}, r"ignore_index=2\.5"),
        ({"sampler": {"type": "OHEMPixelSampler"}}, "sampler=.*OHEM"),
    ],
)
def test_other_losses_are_refused_by_their_key(head: dict, message: str) -> None:
    if isinstance(loss := head.get("loss_decode"), dict):
        head["loss_decode"] = {"type": "CrossEntropyLoss"} | loss
    with pytest.raises(ValueError, match=message):
        CrossEntropy.read({"num_classes": 3} | head)


def test_what_says_the_same_is_the_same_loss() -> None:
    loss = {"type": "CrossEntropyLoss", "use_sigmoid": False, "reduction": "mean", "loss_name": "loss_ce"}
    head = {"num_classes": 3, "out_channels": 3, "sampler": None}
    assert CrossEntropy.read(head | {"loss_decode": loss}) == CrossEntropy.read({"num_classes": 3}) == CrossEntropy()
    weighted = loss | {"class_weight": [1, 2, 3], "avg_non_ignore": True, "loss_weight": 0.5}
    found = CrossEntropy.read(head | {"ignore_index": 7, "loss_decode": [weighted]})
    assert found == CrossEntropy([1, 2, 3], 7, True, 0.5)


@pytest.mark.parametrize(
    "model",
    [
        {"head": {"loss": {"type": "LabelSmoothLoss"}}},
        {"head": {"loss": {"type": "CrossEntropyLoss", "use_soft": True}}},
        {"train_cfg": {"augments": [{"type": "Mixup"}]}},
    ],
    ids=str,
)
def test_losses_of_images_are_refused_by_their_key(model: dict) -> None:
    with pytest.raises(ValueError, match=r"head\.loss=|train_cfg\.augments="):
        CrossEntropy.of_images(model)
    assert CrossEntropy.of_images({"head": {"loss": {"type": "CrossEntropyLoss", "loss_weight": 2}}}).loss_weight == 2
