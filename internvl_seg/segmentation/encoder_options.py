"""What the options of backbones may be, of InternViTs and others."""

import logging
import os
from collections.abc import Mapping

import torch
from torch import Tensor

from ..common.kinds import short
from ..encoder.position import RGB

logger = logging.getLogger(__name__)

OUT_TYPES = ("featmap", "raw")
# Names of dtypes in configs.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_init_cfg(init_cfg: object) -> None:
    """Check where a backbone's weights come from.

    Raises:
        ValueError: It is neither None nor ``dict(type='Pretrained', checkpoint=...)`` with a text or a path.
    """
    known = isinstance(init_cfg, Mapping) and init_cfg.get("type") == "Pretrained"
    checkpoint = init_cfg.get("checkpoint") if known and isinstance(init_cfg, Mapping) else None
    if init_cfg is not None and (not isinstance(checkpoint, (str, os.PathLike)) or not os.fspath(checkpoint)):
        raise ValueError(
            f"backbone.init_cfg={short(init_cfg)} is not known; use dict(type='Pretrained', checkpoint=...) with the "
            "name of an encoder, a file or a folder, or None."
        )


def warn_of_unread_bands(weight: Tensor, frozen: bool) -> None:
    """Say that a frozen patch embedding does not read bands after the third, if it has zeros for them.

    Args:
        weight: (C, in_chans, p, p).
        frozen: Whether it stays as it is.
    """
    extra = weight[:, RGB:]
    if frozen and extra.numel() and not weight.is_meta and not extra.any():
        logger.warning(
            "Band %s of the images is not read: the frozen patch embedding, of weights of RGB, has zeros for it. Set "
            "backbone.extra_bands='mean' for the mean of the kernels of red, green and blue, or tune the encoder with "
            "backbone.frozen=False.",
            "4" if weight.shape[1] == RGB + 1 else f"4 to {weight.shape[1]}",
        )
