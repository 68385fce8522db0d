"""MMSegmentation's losses, made to leave ignored pixels out and to weigh classes, whatever their other fields are.

Each is registered in the place of the loss whose name and fields it has, and says how it differs. They are called as
MMSegmentation's heads call losses: with logits (N, C, H, W), class ids (N, H, W), a weight of every pixel from the
head's ``sampler``, and the head's ``ignore_index``.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models import losses
from mmseg.models.losses.cross_entropy_loss import binary_cross_entropy, cross_entropy
from mmseg.models.losses.dice_loss import dice_loss
from mmseg.models.losses.focal_loss import py_sigmoid_focal_loss
from mmseg.models.losses.lovasz_loss import lovasz_hinge_flat, lovasz_softmax_flat
from mmseg.models.losses.tversky_loss import tversky_loss
from mmseg.models.losses.utils import get_class_weight, weight_reduce_loss
from mmseg.registry import MODELS
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn


def _labelled(target: Tensor, ignore_index: int | None) -> Tensor:
    """Where class ids are not ignored."""
    return torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target.ne(ignore_index)


def _one_hot(target: Tensor, classes: int) -> Tensor:
    """Class ids (N, ...) as (N, C, ...), zero where an id is no class; with one channel that of class 1."""
    first = 1 if classes == 1 else 0
    ids = torch.arange(first, first + classes, device=target.device)
    return (target[:, None] == ids.view(-1, *[1] * (target.ndim - 1))).long()


def _softmax_cross_entropy(
    pred: Tensor, label: Tensor, weight: Tensor | None = None, *, class_weight: Tensor | None, **fields: Any
) -> Tensor:
    if class_weight is not None:
        fields["avg_non_ignore"] = False  # The mean is over labelled pixels by itself.
    loss: Tensor = cross_entropy(pred, label, weight, class_weight, **fields)
    return loss


def _sigmoid_cross_entropy(
    pred: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    *,
    class_weight: Tensor | None,
    ignore_index: int | None,
    **fields: Any,
) -> Tensor:
    if class_weight is not None:
        class_weight = class_weight.view(-1, *[1] * (pred.ndim - 2))
    if pred.shape[1] == 1 and not _labelled(label, ignore_index).any():
        return pred.sum() * 0
    loss: Tensor = binary_cross_entropy(
        pred, label, weight, class_weight=class_weight, ignore_index=ignore_index, **fields
    )
    return loss


@MODELS.register_module(force=True)
class CrossEntropyLoss(losses.CrossEntropyLoss):
    """MMSegmentation's loss, in whose place it is registered.

    With ``use_sigmoid``, ``class_weight`` is how much the pixels of each class weigh against all others; it goes by
    channel (MMSegmentation lets it go by column). With class weights the mean is over the weights of labelled pixels,
    as PyTorch's; ``avg_non_ignore=True`` says the same then (MMSegmentation fails). A batch without a labelled pixel
    has the loss 0, also with one output.
    """

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if not self.use_mask:
            self.cls_criterion = _sigmoid_cross_entropy if self.use_sigmoid else _softmax_cross_entropy


@MODELS.register_module(force=True)
class DiceLoss(losses.DiceLoss):
    """MMSegmentation's loss, in whose place it is registered, without ignored pixels.

    In MMSegmentation they count as predicted wrongly. One output is compared with class 1 here, not with class 0, and
    the weights of a head's sampler are those of pixels. The loss's own ``ignore_index`` leaves a class out.
    """

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = 255,
        **_kwargs: Any,
    ) -> Tensor:
        """Map logits (N, C, ...) and class ids (N, ...) to the loss."""
        if self.activate:
            pred = pred.sigmoid() if self.use_sigmoid or pred.shape[1] == 1 else pred.softmax(1)
        counts = _labelled(target, ignore_index)[:, None] if target.ndim < pred.ndim else torch.ones_like(target)
        if weight is not None:
            counts = counts * weight.view(len(weight), 1, *weight.shape[1:] or [1] * (pred.ndim - 2))
        wanted = target if target.ndim == pred.ndim else _one_hot(target, pred.shape[1])
        loss: Tensor = self.loss_weight * dice_loss(
            pred * counts,
            wanted * counts,
            None,
            eps=self.eps,
            reduction=reduction_override or self.reduction,
            naive_dice=self.naive_dice,
            avg_factor=avg_factor,
            ignore_index=self.ignore_index,
        )
        return loss


@MODELS.register_module(force=True)
class FocalLoss(losses.FocalLoss):
    """MMSegmentation's loss, in whose place it is registered, out of PyTorch's operators on every device.

    MMSegmentation needs a compiled operator on GPUs, and its loss for CPUs takes no class ids. Numbers may be integers
    here, where MMSegmentation wants floats.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float | Sequence[float] = 0.5,
        reduction: str = "mean",
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = "loss_focal",
    ) -> None:
        nn.Module.__init__(self)  # MMSegmentation's refuses GPUs without its operator.
        if not use_sigmoid:
            raise ValueError("FocalLoss: use_sigmoid=False is not possible; the focal loss is of sigmoids.")
        self.use_sigmoid = use_sigmoid
        self.gamma = gamma
        self.alpha = alpha if isinstance(alpha, (int, float)) else list(alpha)
        self.reduction = reduction
        self.class_weight = get_class_weight(class_weight)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = 255,
        **_kwargs: Any,
    ) -> Tensor:
        """Map logits (N, C, ...) and class ids (N, ...) to the loss; with reduction='none' one a value of ``pred``."""
        reduction = reduction_override or self.reduction
        wanted = target if target.shape == pred.shape else _one_hot(target, pred.shape[1])
        labelled = _labelled(target, ignore_index)[:, None].expand_as(pred) if target.ndim < pred.ndim else None
        loss: Tensor = self.loss_weight * py_sigmoid_focal_loss(
            _rows(pred),
            _rows(wanted),
            weight=None if weight is None else weight.reshape(-1),
            gamma=self.gamma,
            alpha=self.alpha,
            class_weight=self.class_weight,
            valid_mask=None if labelled is None else _rows(labelled),
            reduction=reduction,
            avg_factor=avg_factor,
        )
        if reduction == "none":
            loss = loss.view(len(pred), *pred.shape[2:], pred.shape[1]).movedim(-1, 1)
        return loss


def _rows(values: Tensor) -> Tensor:
    """(N, C, ...) as (N * ..., C)."""
    return values.movedim(1, -1).reshape(-1, values.shape[1])


@MODELS.register_module(force=True)
class TverskyLoss(losses.TverskyLoss):
    """MMSegmentation's loss, in whose place it is registered.

    The pixels that the head ignores are left out, not those with the loss's own ``ignore_index``, which leaves a class
    out. The weights of a head's sampler are those of pixels; MMSegmentation does not read them.
    """

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int | None = 255, **_kwargs: Any
    ) -> Tensor:
        """Map logits (N, C, ...) and class ids (N, ...) to the loss."""
        counts = _labelled(target, ignore_index).to(pred)
        loss: Tensor = self.loss_weight * tversky_loss(
            pred.softmax(1),
            _one_hot(target, pred.shape[1]).movedim(1, -1),
            valid_mask=counts if weight is None else counts * weight,
            alpha=self.alpha,
            beta=self.beta,
            smooth=self.smooth,
            class_weight=None if self.class_weight is None else pred.new_tensor(self.class_weight),
            ignore_index=self.ignore_index,
        )
        return loss


@MODELS.register_module(force=True)
class LovaszLoss(losses.LovaszLoss):
    """MMSegmentation's loss, in whose place it is registered; images with no labelled pixel, or one, do not stop it.

    An image without a labelled pixel has the loss 0. MMSegmentation's is NaN, or an error beside other images.
    """

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: int | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = 255,
        **_kwargs: Any,
    ) -> Tensor:
        """Map logits (N, C, ...) and class ids (N, ...) to the loss."""
        binary = self.cls_criterion is losses.lovasz_loss.lovasz_hinge
        values = cls_score[:, 0] if binary else cls_score.softmax(1).movedim(1, -1)

        def flat(values: Tensor, label: Tensor) -> Tensor:
            labelled = _labelled(label, ignore_index)
            if not labelled.any():
                return values.sum() * 0
            if binary:
                return torch.as_tensor(lovasz_hinge_flat(values[labelled], label[labelled]))
            class_weight = None if self.class_weight is None else cls_score.new_tensor(self.class_weight)
            return torch.as_tensor(
                lovasz_softmax_flat(values[labelled], label[labelled], self.classes, class_weight=class_weight)
            )

        if not self.per_image:
            return torch.as_tensor(self.loss_weight * flat(values, label))
        of_images = torch.stack([flat(v, ids) for v, ids in zip(values, label, strict=True)])
        reduction = reduction_override or self.reduction
        loss: Tensor = self.loss_weight * weight_reduce_loss(of_images, None, reduction, avg_factor)
        return loss


@MODELS.register_module(force=True)
class OhemCrossEntropy(losses.OhemCrossEntropy):
    """MMSegmentation's loss, in whose place it is registered, for all heads.

    MMSegmentation's can be called by PIDHead alone. The head's ``ignore_index`` counts where it gives one, the loss's
    ``ignore_label`` otherwise; ``class_weight`` may name a file; and a batch without a pixel that is hard enough has
    the loss 0 instead of NaN.
    """

    def __init__(self, *args: Any, class_weight: Sequence[float] | str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.class_weight = get_class_weight(class_weight)

    def forward(self, score: Tensor, target: Tensor, ignore_index: int | None = None, **_kwargs: Any) -> Tensor:
        """Map logits (N, C, ...) and class ids (N, ...) to the loss."""
        labelled = target.ne(self.ignore_label if ignore_index is None else ignore_index)
        logits, ids = score.movedim(1, -1)[labelled], target[labelled]
        if not len(ids):
            return score.sum() * 0
        weight = None if self.class_weight is None else score.new_tensor(self.class_weight)
        each = F.cross_entropy(logits, ids, weight, reduction="none")
        sure = logits.detach().softmax(1).gather(1, ids[:, None])[:, 0]
        kept = sure.sort().values[min(self.min_kept, len(sure) - 1)]
        hard = each[sure < max(kept, self.thresh)]
        return torch.as_tensor(self.loss_weight * (hard.mean() if len(hard) else each.sum() * 0))


@MODELS.register_module(force=True)
class HuasdorffDisstanceLoss(losses.HuasdorffDisstanceLoss):
    """MMSegmentation's loss, in whose place it is registered, of every class and without ignored pixels.

    MMSegmentation compares the probability of each class with the class ids themselves, which is right for two classes
    only, takes ignored pixels for background, and fails with class weights. With two classes and no ignored pixel it is
    the same. The loss's own ``ignore_index`` leaves a class out. Distances are computed on the CPU.
    """

    def __init__(
        self,
        reduction: str = "mean",
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        ignore_index: int | None = 255,
        loss_name: str = "loss_huasdorff_disstance",
    ) -> None:
        super().__init__(reduction, class_weight, loss_weight, ignore_index, loss_name)

    def forward(self, pred: Tensor, target: Tensor, ignore_index: int | None = 255, **_kwargs: Any) -> Tensor:
        """Map logits (N, C, H, W) and class ids (N, H, W) to the loss."""
        classes = pred.shape[1]
        wanted, found = _one_hot(target, classes), _one_hot(pred.argmax(1), classes)
        counts = _labelled(target, ignore_index)[:, None]
        squared = (pred.softmax(1) - wanted).square() * counts * (_distances(wanted) + _distances(found)).to(pred)
        of_classes = squared.mean((0, 2, 3))
        if self.class_weight is not None:
            of_classes = of_classes * pred.new_tensor(self.class_weight)
        # Class 0 is the background, as in MMSegmentation.
        used = torch.tensor([0 < i != self.ignore_index for i in range(classes)], device=pred.device)
        return torch.as_tensor(self.loss_weight * (of_classes * used).sum() / classes)


def _distances(masks: Tensor) -> Tensor:
    """Squared distance of every pixel of masks (N, C, H, W) to the next one outside; 0 outside."""
    flat = masks.detach().cpu().flatten(0, 1).numpy()
    distances = [torch.from_numpy(distance_transform_edt(mask)) for mask in flat]
    return torch.stack(distances).square().view(masks.shape).to(masks.device)
