"""Linear probing of dense features."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """BatchNorm and a 1x1 convolution, the linear head of the official protocol (``with_norm``, no dropout).

    Parameters are named as in official segmentors: ``norm.*`` and ``conv_seg.*``. In distributed training the
    BatchNorm is synchronised by the runner.

    Args:
        in_channels: Channels of the map it reads, or of each of the maps that it concatenates.
        num_classes: Number of classes.
        in_index: Which map or maps of the backbone it reads.
        norm_cfg: The norm before the convolution.
        dropout_ratio: Dropout of whole channels before the convolution.
        **kwargs: Other fields of MMSegmentation's ``BaseDecodeHead``, such as ``loss_decode`` and ``ignore_index``.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_classes: int,
        in_index: int | Sequence[int] = -1,
        norm_cfg: dict[str, Any] | None = None,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=in_channels if isinstance(in_channels, int) else sum(in_channels),
            num_classes=num_classes,
            in_index=in_index,
            input_transform=None if isinstance(in_channels, int) else "resize_concat",
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg or {"type": "BN"},
            **kwargs,
        )
        self.norm = build_norm_layer(self.norm_cfg, self.channels)[1]

    def features(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the backbone's maps, (B, C, h, w) each, to what ``conv_seg`` makes logits of, (B, channels, h, w)."""
        features: Tensor = self.norm(self._transform_inputs(inputs))
        return features

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the backbone's maps, (B, C, h, w) each, to logits (B, num_classes, h, w)."""
        logits: Tensor = self.cls_seg(self.features(inputs))
        return logits
