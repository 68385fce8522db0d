"""Images as tokens."""

from torch import Tensor, nn

from .linear import Conv2d


class PatchEmbed(nn.Module):
    """Cut an image into patches and project each to a token."""

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = Conv2d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in_chans, H, W) to (B, H/p * W/p, C), row by row.

        Raises:
            ValueError: The images have another number of channels.
        """
        if images.shape[1] != (own := self.proj.in_channels):
            raise ValueError(
                f"images have {images.shape[1]} channels, but this encoder takes in_chans={own}: set in_chans of the "
                "backbone, or bands of LoadImageFromFile."
            )
        tokens: Tensor = self.proj(images)
        return tokens.flatten(2).transpose(1, 2)
