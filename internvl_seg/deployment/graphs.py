"""What is inside of an exported graph: from pixels to tokens, maps or labels."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from ..encoder import InternViT
from ..segmentation.segmentor import StreamingEncoderDecoder
from .errors import ExportError


class EncoderGraph(nn.Module):
    """An encoder's tokens, or the maps of chosen blocks.

    Args:
        encoder: The encoder.
        indices: Blocks whose maps are given, negative ones counted from the last; all tokens after the last if None.

    Attributes:
        input_names: Names of what goes in.
        output_names: Names of what comes out.
        channels: Channels of an image.
        multiple: Sides of images are multiples of it, in pixels.

    Raises:
        ValueError: There is no such block.
    """

    input_names = ("images",)

    def __init__(self, encoder: InternViT, indices: Sequence[int] | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.indices = None if indices is None else encoder.resolve_indices(indices)
        self.channels = encoder.patch_embed.proj.in_channels
        self.multiple = encoder.patch_size
        self.output_names = ("tokens",) if self.indices is None else tuple(f"block_{index}" for index in self.indices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images (B, in_chans, H, W) to tokens (B, 1 + H/p W/p, C) or maps (B, C, H/p, W/p), float32."""
        if self.indices is None:
            return (self.encoder.forward_features(images).float(),)
        return tuple(maps.float() for maps in self.encoder.forward_intermediates(images, self.indices))


def _round_up(side: int, multiple: int, at_least: int = 1) -> int:
    """The next multiple of a side that may be a symbol, and so many of them at least.

    As in ``pooling.py`` it adds before it divides: only integers that are positive are divided alike everywhere.
    """
    return cast(int, torch.sym_max((side + multiple - 1) // multiple, at_least) * multiple)


class SegmentorGraph(nn.Module):
    """A segmentor's labels of whole pictures of any size, as :class:`StreamingEncoderDecoder` predicts them.

    Normalising, padding and resizing are part of it, sliding windows and test-time augmentation are not.

    Args:
        segmentor: The segmentor.
        logits: Whether to give the logits, too.

    Attributes:
        input_names: Names of what goes in.
        output_names: Names of what comes out.
        channels: Channels of a picture.
        multiple: Sides of pictures are multiples of it: 1, any.

    Raises:
        ExportError: It has a decode head that does more than to resize its logits, pads to a fixed size, or takes other
            bands than RGB.
    """

    input_names = ("images",)
    channels = 3
    multiple = 1

    def __init__(self, segmentor: StreamingEncoderDecoder, logits: bool = False) -> None:
        super().__init__()
        kind = type(segmentor.decode_head)
        if kind.predict is not BaseDecodeHead.predict or kind.predict_by_feat is not BaseDecodeHead.predict_by_feat:
            raise ExportError(
                f"decode_head is a {kind.__name__}, which does more to its logits than to resize them. Heads that can "
                "be exported leave predict() and predict_by_feat() as MMSegmentation's BaseDecodeHead has them."
            )
        padding = segmentor.data_preprocessor.test_cfg or {}
        if padding.get("size") is not None:
            raise ExportError(
                f"data_preprocessor.test_cfg.size={tuple(padding['size'])} pads pictures to one size; leave it out: "
                "the segmentor takes pictures of any size."
            )
        takes = getattr(segmentor.backbone, "in_chans", self.channels)
        if takes != self.channels:
            raise ExportError(
                f"The encoder takes in_chans={takes}, but a segmentor's graph takes RGB. Export the encoder alone, "
                "which takes images of its bands, normalised."
            )
        self.segmentor = segmentor
        self.divisor = int(padding.get("size_divisor") or 1)
        self.min_grid = int(getattr(getattr(segmentor, "neck", None), "min_grid", 1))
        self.output_names = ("labels", "logits") if logits else ("labels",)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map RGB pictures (B, 3, H, W), float32 from 0 to 255, to labels (B, H, W) int64.

        Returns:
            The labels; and, if asked for, logits (B, C, H, W) float32, of a model with one output before the sigmoid.
        """
        segmentor, preprocessor = self.segmentor, self.segmentor.data_preprocessor
        # The pipeline gives BGR; what the model was trained on is that, or with its channels the other way round.
        pixels = images if preprocessor._channel_conversion else images.flip(1)
        if preprocessor._enable_normalize:
            pixels = (pixels - preprocessor.mean) / preprocessor.std
        height, width = images.shape[-2:]
        down, across = (
            _round_up(_round_up(side, self.divisor), segmentor.backbone.patch_size, self.min_grid)
            for side in (height, width)
        )
        pixels = F.pad(pixels, (0, across - width, 0, down - height), value=preprocessor.pad_val)
        low = segmentor.decode_head(segmentor.extract_feat(pixels))
        align_corners = segmentor.align_corners
        logits = F.interpolate(low, (down, across), mode="bilinear", align_corners=align_corners)[..., :height, :width]
        if segmentor.out_channels == 1:
            labels = (logits[:, 0].sigmoid() > segmentor.decode_head.threshold).long()
        else:
            labels = logits.argmax(1)
        return (labels, logits)[: len(self.output_names)]


Graph = EncoderGraph | SegmentorGraph
