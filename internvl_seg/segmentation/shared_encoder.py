"""One encoder in memory under several models."""

from typing import Any

from torch import Tensor

from ..checkpoints.encoder_file import EncoderFile
from ..checkpoints.loading import assign_parameter
from ..checkpoints.reference import WrongEncoderError
from ..checkpoints.sources import open_source
from ..encoder import InternViT
from ..encoder.position import resize_pos_embed


def share(encoder: InternViT, backbone: Any) -> None:
    """Let a backbone use an encoder's tensors.

    Args:
        encoder: The encoder.
        backbone: An :class:`internvl_seg.segmentation.backbone.InternViTBackbone`, on the meta device.

    Raises:
        WrongEncoderError: It is of another architecture, dtype or quantization, or has adapters.
    """
    if encoder.quantization != backbone.quantization:
        raise WrongEncoderError(
            f"backbone.encoder has quantization={encoder.quantization!r}, but backbone.quantization is "
            f"{backbone.quantization!r}."
        )
    for name in ("num_heads", "norm_eps"):
        if (found := getattr(encoder, name)) != (own := getattr(backbone, name)):
            raise WrongEncoderError(f"backbone.encoder has {name} = {found}, but backbone.arch has {own}.")
    if not encoder.has_all_weights:
        backbone.blocks = encoder.blocks  # As modules: what is in them is not parameters, or not there all the time.
    theirs = dict(encoder.named_parameters())
    for name, own in backbone.named_parameters():
        if name not in theirs or (name != "pos_embed" and theirs[name].shape != own.shape):
            found = tuple(theirs[name].shape) if name in theirs else "not there"
            raise WrongEncoderError(
                f"backbone.encoder is of another architecture: {name} is {found}, backbone.arch makes "
                f"{tuple(own.shape)}."
            )
    if extra := theirs.keys() - dict(backbone.named_parameters()).keys():
        raise WrongEncoderError(
            f"backbone.encoder has parameters that backbone.arch does not make, such as {min(extra)}."
        )
    if encoder.dtype != backbone.dtype:
        raise WrongEncoderError(f"backbone.encoder has {encoder.dtype}, but backbone.dtype is {backbone.dtype}.")
    for name, _ in backbone.named_parameters():
        tensor = theirs[name].detach()
        if name == "pos_embed" and encoder.grid_size != backbone.grid_size:  # Of another image size.
            tensor = _pos_embed(encoder, backbone)
        assign_parameter(backbone, name, tensor)
    backbone.stored_embeddings = encoder.stored_embeddings


def _pos_embed(encoder: InternViT, backbone: Any) -> Tensor:
    """The position embedding that a backbone would have read, as it stands in the file: resized once, not twice."""
    if backbone.init_cfg is None:
        return resize_pos_embed(encoder.pos_embed.detach(), encoder.grid_size, backbone.grid_size)
    file = EncoderFile.find(open_source(backbone.init_cfg["checkpoint"]))
    return file.tensor("pos_embed", backbone).to(encoder.pos_embed)
