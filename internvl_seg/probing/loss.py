"""Cross entropy of many heads' logits at the resolution of the labels, without holding them at that resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..segmentation.resize import bilinear_taps
from .values import is_number, is_whole

# Logits that are upsampled at once: what the second-level caches of two cores hold.
_CHUNK = 1 << 19
# Probabilities above have all digits.
_SMALL = 1e-30


# Fields of MMSegmentation's ``CrossEntropyLoss`` that a probe knows with one value only.
_FIXED: dict[str, Any] = {"use_sigmoid": False, "use_mask": False, "reduction": "mean"}


def _check_field(name: str, value: Any, classes: Any) -> None:
    """Check a field of a ``CrossEntropyLoss``.

    Raises:
        ValueError: A probe would train with another loss than it means.
    """
    key = f"decode_head.loss_decode.{name}={value!r}"
    if name in _FIXED:
        if value != _FIXED[name]:
            raise ValueError(f"{key} is not among what a probe trains with. Leave it out: it is {_FIXED[name]!r} then.")
    elif name == "class_weight":
        if value is None:
            return
        if not isinstance(value, (list, tuple)) or not all(is_number(one) and one >= 0 for one in value):
            raise ValueError(f"{key} is not a list of numbers from 0 on, one a class.")
        if len(value) != classes or not any(value):
            found = f"{len(value)} weights" if any(value) else "no weight above 0"
            raise ValueError(f"{key}: there are {found} for {classes} classes (decode_head.num_classes).")
    elif name == "avg_non_ignore":
        if not isinstance(value, bool):
            raise ValueError(f"{key} is neither True nor False.")
    elif name == "loss_weight":
        if not is_number(value) or value <= 0:
            raise ValueError(f"{key} is not a number above 0.")
    else:
        raise ValueError(
            f"{key} is a field that a probe does not know; it knows class_weight, avg_non_ignore and loss_weight."
        )


@dataclass(frozen=True)
class CrossEntropy:
    """The loss of MMSegmentation's heads.

    Attributes:
        class_weight: Of every class, or None.
        ignore_index: Label of pixels without one.
        avg_non_ignore: Whether the mean is over labelled pixels; over all of them if not.
        loss_weight: Factor of the loss.
    """

    class_weight: Sequence[float] | None = None
    ignore_index: int = 255
    avg_non_ignore: bool = False
    loss_weight: float = 1.0

    @classmethod
    def read(cls, decode_head: Mapping[str, Any]) -> "CrossEntropy":
        """From the config of a segmentor's head.

        Raises:
            ValueError: It trains with another loss, or has a field of one that a probe does not know; the message names
                the key.
        """
        head = {name: value for name, value in decode_head.items() if value is not None}
        classes = head.get("num_classes")
        if (outputs := head.get("out_channels", classes)) != classes:
            raise ValueError(
                f"decode_head.out_channels={outputs!r} with num_classes={classes!r}: a probe's heads have an output a "
                "class. Leave out_channels out."
            )
        if "sampler" in head:
            raise ValueError(f"decode_head.sampler={head['sampler']}: a probe compares all pixels alike. Leave it out.")
        if not is_whole(ignored := head.get("ignore_index", 255)):
            raise ValueError(f"decode_head.ignore_index={ignored!r} is not a whole number.")
        given = head.get("loss_decode", {"type": "CrossEntropyLoss"})
        if isinstance(given, (list, tuple)) and len(given) == 1:
            (given,) = given
        if not isinstance(given, Mapping) or given.get("type") not in ("CrossEntropyLoss", "mmseg.CrossEntropyLoss"):
            raise ValueError(
                f"decode_head.loss_decode={given}: a probe trains with dict(type='CrossEntropyLoss') and its fields "
                "class_weight, avg_non_ignore and loss_weight."
            )
        fields = {name: value for name, value in given.items() if name not in ("type", "loss_name")}
        for name, value in fields.items():
            _check_field(name, value, classes)
        known = {name: fields[name] for name in ("class_weight", "avg_non_ignore", "loss_weight") if name in fields}
        return cls(ignore_index=ignored, **known)

    @classmethod
    def of_images(cls, model: Mapping[str, Any]) -> "CrossEntropy":
        """From the config of an image classifier.

        Raises:
            ValueError: It trains with another loss, or on images that are mixed; the message names the key.
        """
        if augments := (model.get("train_cfg") or {}).get("augments"):
            raise ValueError(f"train_cfg.augments={augments}: a probe's features are of single images. Leave it out.")
        given = (model.get("head") or {}).get("loss") or {"type": "CrossEntropyLoss"}
        scale = given.get("loss_weight", 1.0)
        known = given.get("type") in ("CrossEntropyLoss", "mmpretrain.CrossEntropyLoss")
        if not known or given.keys() - {"type", "loss_weight"} or not is_number(scale) or scale <= 0:
            raise ValueError(
                f"head.loss={given}: a probe trains with dict(type='CrossEntropyLoss') and its field loss_weight."
            )
        return cls(ignore_index=-1, loss_weight=scale)

    def pixel_weights(self, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, float]:
        """What every pixel counts, and its class.

        Args:
            labels: (...) ids of any integer dtype.
            num_classes: C; labels from C on are ignored too.

        Returns:
            Weights (...) float32; classes (...) int64, 0 where ignored; and what the sum of the weighted losses is to
            be divided by for the mean.
        """
        ids = labels.long()
        there = (ids != self.ignore_index) & (ids >= 0) & (ids < num_classes)
        ids = ids * there
        weights = there.float()
        if self.class_weight is not None:
            weights *= torch.tensor(self.class_weight)[ids]
        counts = self.class_weight is not None or self.avg_non_ignore
        count = float(weights.sum(dtype=torch.float64)) if counts else float(labels.numel())
        return weights * self.loss_weight, ids, max(count, torch.finfo(torch.float32).eps)


class Grid:
    """Which pixels of the labels are compared, and how low-resolution logits become theirs.

    Args:
        low: Height and width of the logits.
        high: Height and width of the labels.
        stride: Every how many-th pixel is compared, down and across; 1 for all.
        phase: First row and column, below ``stride``.
        align_corners: As in ``F.interpolate``.
    """

    def __init__(
        self,
        low: tuple[int, int],
        high: tuple[int, int],
        stride: int = 1,
        phase: tuple[int, int] = (0, 0),
        align_corners: bool = False,
    ) -> None:
        self.rows, self.columns = (slice(min(p, size - 1), None, stride) for p, size in zip(phase, high, strict=True))
        sides = []
        for i, o, kept in zip(low, high, (self.rows, self.columns), strict=True):
            matrix, used = bilinear_taps(i, o, align_corners).block(kept)
            # Columns of all inputs, also of those that no kept pixel lies near.
            sides.append(torch.zeros(len(matrix), i).index_copy_(1, used, matrix))
        self.down, self.across = sides

    def labels(self, labels: Tensor) -> Tensor:
        """The compared pixels of labels (..., H, W)."""
        return labels[..., self.rows, self.columns]


class _ResizedCrossEntropy(torch.autograd.Function):
    """Loss of every head, and its gradient, chunk by chunk: the upsampled logits of one are never all there."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, weights: Tensor, ids: Tensor, down: Tensor, across: Tensor) -> Tensor:
        heads, classes, batch = logits.shape[:3]
        area = len(down) * len(across)
        losses = logits.new_zeros(heads, dtype=torch.float32)
        gradient = torch.empty_like(logits)
        weights, ids = weights.flatten(1), ids.flatten(1)
        # Some heads of one sample; or, of few heads, several samples.
        at_once = max(_CHUNK // (classes * area), 1)
        many = min(at_once, heads)
        samples = max(at_once // many, 1)
        columns = across.T.contiguous()
        rows = down.T.contiguous()
        for start in range(0, heads, many):  # A head's logits are near each other, those of a sample are not.
            head_part = slice(start, start + many)
            for first in range(0, batch, samples):
                batch_part = slice(first, first + samples)
                weight, target = weights[batch_part], ids[batch_part, None]
                low = logits[head_part, :, batch_part].transpose(1, 2).float()  # (heads, samples, classes, h, w)
                high = (down @ (low @ columns)).flatten(3)
                index = target.expand(len(high), -1, -1, -1)
                change = high.softmax(2)
                log = change.gather(2, index)
                # Of a softmax near or below the smallest float the logarithm is taken from the logits.
                log = log.log_() if log.min() > _SMALL else high.log_softmax(2).gather(2, index)
                losses[head_part] -= (log[:, :, 0] * weight).sum((1, 2))
                # Softmax minus one at the label.
                change.scatter_add_(2, index, change.new_full((1, 1, 1, 1), -1.0).expand_as(index))
                change *= weight[:, None]
                low_change = rows @ change.unflatten(3, (len(down), len(across))) @ across
                gradient[head_part, :, batch_part] = low_change.transpose(1, 2)
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        if not upstream[0].eq(1).all():
            gradient = gradient * upstream[0].to(gradient.dtype)[:, None, None, None, None]
        return gradient, None, None, None, None


def resized_cross_entropy(logits: Tensor, labels: Tensor, grid: Grid, loss: CrossEntropy) -> Tensor:
    """The loss that MMSegmentation computes from logits upsampled to the labels, of many heads at once.

    With a stride above 1 it is the loss of a grid of the pixels: over random phases its mean is that of all of them.

    Args:
        logits: (heads, C, B, h, w) float32 or bfloat16.
        labels: (B, H, W), of any integer dtype.
        grid: For these sizes.
        loss: Weights and what is ignored.

    Returns:
        Loss of every head, (heads,) float32; gradients flow to ``logits``.
    """
    weights, ids, count = loss.pixel_weights(grid.labels(labels), logits.shape[1])
    out: Tensor = _ResizedCrossEntropy.apply(logits, weights / count, ids, grid.down, grid.across)
    return out


def cross_entropy(logits: Tensor, labels: Tensor, loss: CrossEntropy) -> Tensor:
    """The loss of one label a sample, of many heads: logits (heads, C, B) and labels (B,) to (heads,)."""
    weights, ids, count = loss.pixel_weights(labels, logits.shape[1])
    log = logits.float().log_softmax(1)
    return -(log.gather(1, ids.expand(len(logits), 1, -1))[:, 0] * (weights / count)).sum(1)
