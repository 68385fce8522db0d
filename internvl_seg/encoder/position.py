"""Fitting the embeddings that an InternViT learned to another resolution, or to other bands."""

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_pos_embed(pos_embed: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Resize the grid part of a position embedding; the CLS part is kept as it is.

    Bicubic with ``align_corners=False``, as ``resize_pos_embed`` in OpenGVLab/InternVL
    ``segmentation/mmseg_custom/models/backbones/intern_vit_6b.py``. Computed in fp32 whatever the dtype.

    Args:
        pos_embed: (1, 1 + rows * columns, C), CLS first.
        old_grid: Rows and columns of ``pos_embed``, in patches.
        new_grid: Rows and columns wanted, in patches.

    Returns:
        (1, 1 + new rows * new columns, C), in the dtype of ``pos_embed``.
    """
    cls, grid = pos_embed[:, :1], pos_embed[:, 1:]
    grid = grid.unflatten(1, old_grid).permute(0, 3, 1, 2).float()
    grid = F.interpolate(grid, size=new_grid, mode="bicubic", align_corners=False)
    return torch.cat([cls, grid.flatten(2).transpose(1, 2).to(pos_embed.dtype)], dim=1)


def resize_patch_embed(weight: Tensor, patch_size: int) -> Tensor:
    """Resize the kernel of a patch embedding to another patch size.

    Bicubic with ``align_corners=False`` and no rescaling of the values, as the official loader does (same file as
    in :func:`resize_pos_embed`). Computed in fp32 whatever the dtype.

    Args:
        weight: (C, in_chans, p, p).
        patch_size: Side of the new patches in pixels.

    Returns:
        (C, in_chans, patch_size, patch_size), in the dtype of ``weight``.
    """
    size = (patch_size, patch_size)
    return F.interpolate(weight.float(), size=size, mode="bicubic", align_corners=False).to(weight.dtype)


# What bands after the first three get of the kernels of red, green and blue.
EXTRA_BANDS = ("zero", "mean")
RGB = 3


def widen_patch_embed(weight: Tensor, in_chans: int, extra_bands: str = "zero") -> Tensor:
    """Make of a patch embedding of RGB one of another number of bands.

    Bands 1 to 3 take the kernels of red, green and blue; what follows takes zeros, so that what is in it changes no
    feature until it is trained, or the mean of the three kernels. One band, or two, share the sum of the three
    kernels: where they are alike, the features are those of the grey picture. Computed in fp32 whatever the dtype.

    Args:
        weight: (C, 3, p, p).
        in_chans: How many bands there shall be.
        extra_bands: 'zero' or 'mean'.

    Returns:
        (C, in_chans, p, p), in the dtype of ``weight``.

    Raises:
        ValueError: ``weight`` is neither of three bands nor of ``in_chans``.
    """
    if in_chans == weight.shape[1]:
        return weight
    if weight.shape[1] != RGB:
        raise ValueError(
            f"A patch embedding of {weight.shape[1]} bands cannot be made one of {in_chans}: only one of RGB can."
        )
    wide = weight.float()
    if in_chans < RGB:
        wide = (wide.sum(1, keepdim=True) / in_chans).expand(-1, in_chans, -1, -1)
    else:
        mean = wide.mean(1, keepdim=True)
        extra = torch.zeros_like(mean) if extra_bands == "zero" else mean
        wide = torch.cat([wide, extra.expand(-1, in_chans - RGB, -1, -1)], dim=1)
    return wide.to(weight.dtype).contiguous()
