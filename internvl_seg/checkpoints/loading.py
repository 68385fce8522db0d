"""Reading an InternViT out of any released file, exactly or not at all."""

import os
from typing import Any

import torch
from torch import Tensor, nn

from ..encoder.intern_vit import InternViT, Size
from ..encoder.releases import building
from .encoder_file import EncoderFile
from .errors import UnknownArchitectureError
from .formats import ANCHOR
from .sources import open_source


def assign_parameter(module: nn.Module, name: str, data: Tensor) -> None:
    """Put data in the place of a parameter, whatever device that was on."""
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Parameter(data))


def load_encoder(
    source: str | os.PathLike[str],
    *,
    img_size: Size | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    **overrides: Any,
) -> InternViT:
    """Load a released InternViT, or one in the same formats, with its architecture told from the file.

    Formats: the official ``.pth``, Hugging Face's remote-code and native ones, each also inside a whole InternVL chat
    model, a segmentor or a classifier; of those, only the encoder's tensors are read. Parts of a file that no encoder
    uses are left out: ``clip_projector``, ``attn_pooling``, a classifier's ``norm`` and ``head``, a segmentor's
    ``up1`` to ``up4`` and heads, a pooler, a mask token. Anything else that is too much or missing is an error.

    Args:
        source: A name of ``list_encoders()``, a hub id, a folder, or a ``.pth``, ``.safetensors`` or index file.
        img_size: Side, or (height, width), in pixels to which the position grid is resized; the file's if None.
        dtype: Of the weights; the file's if None.
        device: Where to put the weights.
        **overrides: Arguments of :class:`InternViT` that the file cannot tell (``num_heads``, ``drop_path_rate``,
            ``attention``...) or that ask for less or other than it holds: ``depth`` for its first blocks only,
            ``patch_size`` for resized patches.

    Returns:
        The encoder, in eval mode.

    Raises:
        CheckpointError: A subclass says what is wrong; nothing was loaded.
        ValueError: An override does not fit.
    """
    file = EncoderFile.find(open_source(source))
    if img_size is not None:
        overrides["img_size"] = img_size
    arguments = file.architecture(overrides)
    if arguments["depth"] > file.depth():
        raise UnknownArchitectureError(
            f"{file.source.where} has {file.depth()} blocks, fewer than the depth={arguments['depth']} asked for."
        )
    with building("meta", None):
        encoder = InternViT(**arguments)
    file.check(encoder)
    dtype = dtype or file.read(ANCHOR).dtype
    for name in dict(encoder.named_parameters()):
        assign_parameter(encoder, name, file.tensor(name, encoder).to(device, dtype, copy=True))
    return encoder.eval()
