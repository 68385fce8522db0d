"""Bands that a frozen encoder does not read, told before it is built."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...checkpoints.encoder_file import EncoderFile
from ...checkpoints.errors import CheckpointError
from ...checkpoints.formats import ANCHOR
from ...checkpoints.sources import open_source
from ...encoder.position import RGB
from ...encoder.releases import list_encoders
from .contradiction import Contradiction, option, type_name

# Where timm's weights are downloaded from: all of them are of RGB.
_HUB = "hub"


def check_unread_bands(config: Config, takes: int | None) -> Iterator[Contradiction]:
    """Find a frozen encoder whose patch embedding, made of weights of RGB, has zeros for bands after the third.

    Args:
        config: The config.
        takes: How many bands the encoder takes; None if that is not known.
    """
    model: Any = config.get("model") or {}
    backbone = model.get("backbone")
    if not isinstance(backbone, dict) or takes is None or takes <= RGB:
        return
    of_timm = type_name(backbone) == "TimmViT"
    arch = backbone.get("arch")
    inside = arch.get("extra_bands") if isinstance(arch, dict) else None
    extra = backbone.get("extra_bands") or inside or "zero"
    init = backbone.get("init_cfg")
    source = init.get("checkpoint") if isinstance(init, dict) else None
    # A config's load_from and a checkpoint do not replace a frozen encoder: they refer to it.
    if extra != "zero" or not backbone.get("frozen", of_timm) or not isinstance(source, (str, os.PathLike)):
        return
    if _stored_bands(source, of_timm) == RGB:
        bands = "band 4 of the images is" if takes == RGB + 1 else f"bands 4 to {takes} of the images are"
        yield Contradiction(
            "model.backbone.extra_bands",
            f"= 'zero', but backbone.frozen = True: {bands} not read, as the weights, which are of RGB, get zeros "
            "there that are not trained.",
            f"Set {option('model.backbone.extra_bands', 'mean')} for the mean of the kernels of red, green and blue, "
            f"or tune the encoder: {option('model.backbone.frozen', False)}.",
            fatal=False,
        )


def _stored_bands(source: str | os.PathLike[str], of_timm: bool) -> int | None:
    """Of how many bands weights are; None if that is told only when they are read."""
    name = os.fspath(source)
    if name == _HUB if of_timm else name in list_encoders():
        return RGB
    if not Path(name).exists():  # It is no file here, so this would download it.
        return None
    with suppress(CheckpointError, OSError):
        if of_timm:
            reader = open_source(name).reader
            shapes = [reader.shape(found) for found in reader.names if found.endswith(ANCHOR)]
            return shapes[0][1] if shapes and len(shapes[0]) == 4 else None
        shape = EncoderFile.find(open_source(name)).shape(ANCHOR)
        return shape[1] if len(shape) == 4 else None
    return None
