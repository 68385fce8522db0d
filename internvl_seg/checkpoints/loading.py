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
from .sharded import shard_like
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
    with building("meta", None):
        encoder = InternViT(**file.architecture(overrides))
    _check(file, encoder)
    dtype = dtype or file.read(ANCHOR).dtype
    for name in dict(encoder.named_parameters()):
        assign_parameter(encoder, name, file.tensor(name, encoder).to(device, dtype, copy=True))
    return encoder.eval()


@torch.no_grad()
def read_weights(encoder: InternViT, source: str | os.PathLike[str]) -> None:
    """Copy weights into an encoder that is there, tensor by tensor; if it is sharded, each process takes its part.

    Args:
        encoder: The encoder; its dtype, devices, position grid and patch size stay.
        source: As in :func:`load_encoder`.

    Raises:
        CheckpointError: A subclass says what is wrong; nothing was read.
    """
    file = EncoderFile.find(open_source(source))
    _check(file, encoder)
    for name, parameter in encoder.named_parameters():
        parameter.copy_(shard_like(parameter, file.tensor(name, encoder)))


def _check(file: EncoderFile, encoder: InternViT) -> None:
    if encoder.depth > file.depth():
        raise UnknownArchitectureError(
            f"{file.source.where} has {file.depth()} blocks, fewer than the depth={encoder.depth} asked for."
        )
    file.check(encoder)
