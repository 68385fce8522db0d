"""Linear probing of dense features."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn


def _check_inputs(
    head: str, in_channels: int | Sequence[int], in_index: int | Sequence[int], input_transform: str | None
) -> None:
    """Check that the fields that say which maps a head reads fit each other.

    Raises:
        ValueError: They do not.
    """
    if input_transform not in (None, "resize_concat"):
        raise ValueError(
            f"{head}: input_transform={input_transform!r} is not possible: the head reads one map, or concatenates "
            "several. Leave it out."
        )
    if not isinstance(in_channels, int) and isinstance(in_index, int):
        raise ValueError(
            f"{head}: in_channels={in_channels} is of {len(in_channels)} maps, but in_index={in_index} of one. Set "
            "in_index to a list of as many."
        )
    if not isinstance(in_channels, int) and not isinstance(in_index, int) and len(in_channels) != len(in_index):
        raise ValueError(
            f"{head}: in_channels={in_channels} is of {len(in_channels)} maps, but in_index={in_index} of "
            f"{len(in_index)}. Give both as many."
        )
    if isinstance(in_channels, int) and (not isinstance(in_index, int) or input_transform is not None):
        found = f"input_transform={input_transform!r}" if isinstance(in_index, int) else f"in_index={in_index}"
        raise ValueError(
            f"{head}: in_channels={in_channels} is of one map, but {found} of several. Set in_channels to a list, such "
            f"as [{in_channels}, {in_channels}] for two maps, or read one."
        )


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """BatchNorm and a 1x1 convolution, the linear head of the official protocol (``with_norm``, no dropout).

    Parameters are named as in official segmentors: ``norm.*`` and ``conv_seg.*``. In distributed training the
    BatchNorm is synchronised by the runner. Threads may share it in eval mode.

    Args:
        in_channels: Channels of the map it reads, or of each of the maps that it concatenates.
        num_classes: Number of classes.
        in_index: Which map or maps of the backbone it reads.
        channels: None, or what a linear head has: the channels of all maps it reads.
        input_transform: None, or 'resize_concat' of several maps, which is what is done with them.
        norm_cfg: The norm before the convolution.
        act_cfg: None; a linear head has no activation.
        dropout_ratio: Dropout of whole channels before the convolution.
        **kwargs: Other fields of MMSegmentation's ``BaseDecodeHead``, such as ``loss_decode`` and ``ignore_index``.

    Raises:
        ValueError: The fields do not fit each other or a linear head.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_classes: int,
        in_index: int | Sequence[int] = -1,
        channels: int | None = None,
        input_transform: str | None = None,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        head = type(self).__name__
        _check_inputs(head, in_channels, in_index, input_transform)
        width = in_channels if isinstance(in_channels, int) else sum(in_channels)
        if channels not in (None, width):
            raise ValueError(
                f"{head}: channels={channels}, but it has no hidden layer: its channels are those that it reads, "
                f"{width}. Leave channels out, or take MLPHead or FCNHead."
            )
        for name, value in (("act_cfg", act_cfg), ("conv_cfg", kwargs.get("conv_cfg"))):
            if value is not None:
                raise ValueError(f"{head}: {name}={value} is for heads with hidden layers. Leave it out.")
        super().__init__(
            in_channels=in_channels,
            channels=width,
            num_classes=num_classes,
            in_index=in_index,
            input_transform=None if isinstance(in_channels, int) else "resize_concat",
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg or {"type": "BN"},
            act_cfg=None,
            **kwargs,
        )
        self.norm = build_norm_layer(self.norm_cfg, self.channels)[1]
        if isinstance(self.norm, (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm3d)):
            raise ValueError(
                f"{head}: norm_cfg={dict(self.norm_cfg)} is not for maps. Take one of the types BN, SyncBN, GN, IN "
                "and LN2d."
            )

    def features(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the backbone's maps, (B, C, h, w) each, to what ``conv_seg`` makes logits of, (B, channels, h, w)."""
        features: Tensor = self.norm(self._transform_inputs(inputs))
        return features

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the backbone's maps, (B, C, h, w) each, to logits (B, num_classes, h, w)."""
        logits: Tensor = self.cls_seg(self.features(inputs))
        return logits
