"""The official classification heads as a head of MMPretrain."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from torch import Tensor

from ..checkpoints.classifier import read_head
from ..encoder.classifier import Pooling, TokenClassifier


@MODELS.register_module()
class InternViTClsHead(ClsHead):
    """A pooling of tokens, BatchNorm and a linear layer, for a backbone with ``out_type='raw'``.

    Below ``classifier.`` parameters are named as in official heads, which are read by ``init_cfg`` or as a checkpoint
    of the whole model. Threads may share it in eval mode.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of a token, or of each of the last of the backbone's tokens, which are concatenated then.
        pooling: 'cls_patch_concat' puts the CLS token beside the mean of the patches, 'attention_pooling' and
            'clip_projector' attend over all tokens, the latter into CLIP's space.
        pool_heads: Attention heads of the pooling; the official code has as many as its encoder, but 16 for the 6B
            'clip_projector'. Unused by 'cls_patch_concat'.
        pool_dim: Channels out of 'clip_projector'.
        init_cfg: None for random weights, or ``dict(type='Pretrained', checkpoint=...)`` with an official head or
            classifier.
        **kwargs: Other fields of MMPretrain's ``ClsHead``, such as ``loss``.

    Raises:
        ValueError: An argument is not among the allowed values.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int | Sequence[int],
        pooling: Pooling = "cls_patch_concat",
        pool_heads: int = 16,
        pool_dim: int = 768,
        init_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if init_cfg is not None and (init_cfg.get("type") != "Pretrained" or "checkpoint" not in init_cfg):
            raise ValueError(
                f"head.init_cfg={init_cfg} is not known; use dict(type='Pretrained', checkpoint=...) or None."
            )
        if num_classes < 1:
            raise ValueError(f"head.num_classes={num_classes}: a head has at least one class.")
        self.num_classes = num_classes
        self.init_cfg = init_cfg
        widths = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        self._taken = len(widths)
        self.classifier = TokenClassifier(
            sum(widths), pooling, pool_heads=pool_heads, pool_dim=pool_dim, num_classes=num_classes
        )

    def init_weights(self) -> None:
        """Read the head of ``init_cfg``, if there is one.

        Raises:
            CheckpointError: A subclass says what is wrong; nothing was read.
        """
        if self.init_cfg is not None:
            read_head(self.classifier, self.init_cfg["checkpoint"])

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """The pooled vectors (B, D) of the backbone's tokens, (B, N, C) each, in fp32."""
        return self.classifier.pool(self._tokens(feats).float())

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Map the backbone's tokens, (B, N, C) each, to fp32 logits (B, num_classes)."""
        logits: Tensor = self.classifier(self._tokens(feats))
        return logits

    def _tokens(self, feats: Sequence[Tensor]) -> Tensor:
        return torch.cat(tuple(feats[-self._taken :]), dim=-1)
