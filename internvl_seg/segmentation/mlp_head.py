"""A small MLP on dense features."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_activation_layer
from mmseg.registry import MODELS
from torch import Tensor, nn

from .linear_head import LinearHead


@MODELS.register_module()
class MLPHead(LinearHead):
    """A linear head with one hidden layer: BatchNorm, 1x1 convolution, GELU, 1x1 convolution.

    Parameters are those of :class:`LinearHead` and ``first.*``. Threads may share it in eval mode.

    Args:
        hidden_channels: Of the hidden layer; ``channels``, MMSegmentation's name for it, may stand in its place.
        channels: The same.
        act_cfg: The activation between the convolutions; GELU if None.
        **kwargs: Arguments of :class:`LinearHead`.

    Raises:
        ValueError: The fields do not fit each other.
    """

    def __init__(
        self,
        hidden_channels: int | None = None,
        channels: int | None = None,
        act_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        widths = {width for width in (hidden_channels, channels) if width is not None}
        if len(widths) != 1:
            raise ValueError(
                f"MLPHead: hidden_channels={hidden_channels} and channels={channels}: both are the width of the hidden "
                "layer; give hidden_channels."
            )
        (hidden,) = widths
        super().__init__(**kwargs)
        self.first = nn.Conv2d(self.norm.num_features, hidden, kernel_size=1)
        self.act = build_activation_layer(act_cfg or {"type": "GELU"})
        self.conv_seg = nn.Conv2d(hidden, self.out_channels, kernel_size=1)
        self.channels: int = hidden

    def features(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the backbone's maps, (B, C, h, w) each, to what ``conv_seg`` makes logits of, (B, hidden, h, w)."""
        features: Tensor = self.act(self.first(super().features(inputs)))
        return features
