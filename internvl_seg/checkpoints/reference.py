"""What a checkpoint of a frozen encoder's head holds in place of the encoder: where it came from, and a hash of it."""

import hashlib
import json

import torch
from torch import Tensor, nn

from ..encoder import InternViT
from ..encoder.lora import is_lora, official_name
from .errors import CheckpointError

# Name of the reference among the backbone's parameters.
REFERENCE = "encoder_reference"


class WrongEncoderError(CheckpointError):
    """A head was trained on another frozen encoder than the one it is put on."""


def hash_encoder(encoder: InternViT) -> str:
    """A SHA-256 of an encoder's blocks that no dtype, image size or adapter changes, in hexadecimal."""
    digest = hashlib.sha256()
    blocks = {official_name(name): p for name, p in encoder.blocks.named_parameters() if not is_lora(name)}
    for _, parameter in sorted(blocks.items()):
        # In bf16, which every release survives exactly, so that one encoder has one hash in any dtype.
        digest.update(parameter.detach().bfloat16().contiguous().view(torch.int16).cpu().numpy().data)
    return digest.hexdigest()


def hash_parameters(module: nn.Module) -> str:
    """A SHA-256 of all parameters and buffers of a module, with their names, shapes and dtypes, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted([*module.named_parameters(), *module.named_buffers()]):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        # As bytes: NumPy knows no bf16. Of a tensor on the CPU nothing is copied.
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_reference(checkpoint: str, sha256: str) -> Tensor:
    """A reference as a tensor of bytes, uint8, so that it passes through whatever keeps state dicts."""
    return torch.frombuffer(
        bytearray(json.dumps({"checkpoint": checkpoint, "sha256": sha256}).encode()), dtype=torch.uint8
    )


def read_reference(reference: Tensor) -> tuple[str, str]:
    """Where an encoder came from, as :func:`internvl_seg.load_encoder` takes it, and its :func:`hash_encoder`."""
    told = json.loads(bytes(reference.tolist()))
    return told["checkpoint"], told["sha256"]
