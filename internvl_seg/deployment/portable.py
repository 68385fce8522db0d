"""A copy of a model that can be traced, computing in a dtype that every runtime knows."""

import copy
from itertools import chain
from typing import TypeVar

import torch
from torch import nn

from ..checkpoints.loading import assign_parameter
from ..encoder import InternViT
from ..encoder.lora import is_lora, merge_lora
from ..segmentation.backbone import InternViTBackbone
from .errors import ExportError
from .pooling import AveragingPool2d

Model = TypeVar("Model", bound=nn.Module)


def _encoder_of(model: nn.Module) -> InternViT:
    encoder = model if isinstance(model, InternViT) else getattr(model, "backbone", None)
    if not isinstance(encoder, InternViT):
        raise ExportError(
            f"model.backbone is a {type(encoder).__name__}; only models on an InternViT can be exported. Set "
            "model.backbone.type='InternViT'; a ViT of timm is exported with timm's own tools."
        )
    # Quantized weights are buffers, of which blocks have none, or tensors of another class.
    for name, tensor in chain(encoder.named_parameters(), encoder.blocks.named_buffers(prefix="blocks")):
        if type(tensor) is not nn.Parameter or tensor.is_meta:
            raise ExportError(
                f"{name} of the encoder is no plain tensor in memory (it is quantized, sharded or not loaded), which a "
                "graph cannot hold. Load the encoder in float32 or bfloat16, whole."
            )
    return encoder


def _set_dtype(encoder: InternViT, dtype: torch.dtype, copies: bool = False) -> None:
    """Put new tensors in the place of the encoder's; the old ones stay as they are."""
    for name, parameter in list(encoder.named_parameters()):
        assign_parameter(encoder, name, parameter.detach().to(dtype, copy=copies))


@torch.no_grad()
def portable(model: Model, dtype: torch.dtype = torch.float32) -> Model:
    """Copy a segmentor or an encoder for being traced: adapters merged, the encoder's weights in one dtype.

    Weights are shared with the model where nothing has to be done to them, so the copy of a model in ``dtype`` takes no
    memory. Heads stay in fp32.

    Args:
        model: A segmentor on an InternViT, or an InternViT. It is not changed.
        dtype: Of the encoder's weights and its computation.

    Returns:
        The copy, in eval mode, without activation checkpointing; ``state_dict()`` holds all of its weights.

    Raises:
        ExportError: The backbone is not an InternViT, or its weights are no plain tensors.
    """
    _encoder_of(model)
    tensors = chain(model.parameters(), model.buffers())
    model = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors}).eval()
    encoder = _encoder_of(model)
    if any(is_lora(name) for name, _ in encoder.named_parameters()):
        _set_dtype(encoder, torch.float32, copies=True)  # In which nothing of the adapters is lost.
        merge_lora(encoder)
    _set_dtype(encoder, dtype)
    encoder.grad_checkpointing = False
    if isinstance(encoder, InternViTBackbone):
        encoder.compute_dtype = dtype
        # A frozen one with a file would leave its weights out of state dicts and hash all of them each time.
        encoder.init_cfg = None
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size is not None:
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, AveragingPool2d(module.output_size))
    return model
