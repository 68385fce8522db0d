"""Maps of four resolutions out of a plain ViT's four maps of one."""

import math
from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d


@MODELS.register_module()
class FeaturePyramid(BaseModule):
    """The pyramid of the official segmentors: x4, x2, x1 and x1/2 of the patch grid, by learned upsampling.

    Source: OpenGVLab/InternVL ``segmentation/mmseg_custom/models/backbones/intern_vit_6b.py`` (``with_fpn``), whose
    parameter names ``up1`` and ``up2`` it keeps. Threads may share it.

    Args:
        embed_dim: Channels of every map, in and out.
    """

    # Of fewer patches down or across there is no half.
    min_grid = 2

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.up1 = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, embed_dim, kernel_size=2, stride=2),
            LayerNorm2d(embed_dim, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(embed_dim, embed_dim, kernel_size=2, stride=2),
        )
        self.up2 = nn.Sequential(nn.ConvTranspose2d(embed_dim, embed_dim, kernel_size=2, stride=2))
        self.up4 = nn.MaxPool2d(kernel_size=2, stride=2)

    def init_weights(self) -> None:
        """Normal weights with the variance that keeps a ReLU network's signal, counted over outputs."""
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self._is_init = True

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map four maps (B, C, h, w), shallow to deep, to (B, C, 4h, 4w), (2h, 2w), (h, w) and (h // 2, w // 2).

        Raises:
            ValueError: There are not four maps.
        """
        if len(maps) != 4:
            raise ValueError(f"FeaturePyramid takes four maps, but backbone.out_indices gives {len(maps)}.")
        return self.up1(maps[0]), self.up2(maps[1]), maps[2], self.up4(maps[3])
