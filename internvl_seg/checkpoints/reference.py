"""What a checkpoint of a frozen encoder's head holds in place of the encoder: where it came from, and a hash of it."""

import hashlib
import json
import os
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..encoder import InternViT
from ..encoder.lora import is_lora, official_name
from ..encoder.releases import building
from .encoder_file import EncoderFile
from .errors import CheckpointError
from .progress import ReadingProgress
from .sources import open_source

# Name of the reference among the backbone's parameters.
REFERENCE = "encoder_reference"


class WrongEncoderError(CheckpointError):
    """A head was trained on another frozen encoder than the one it is put on."""


def hash_encoder(encoder: InternViT) -> str:
    """A SHA-256 of an encoder's blocks that no dtype, image size or adapter changes, in hexadecimal."""
    return hash_blocks({official_name(name): p for name, p in encoder.blocks.named_parameters() if not is_lora(name)})


def hash_blocks(blocks: dict[str, Tensor]) -> str:
    """The same of parameters by their names within ``blocks``."""
    with ReadingProgress("Comparing the encoder", sum(tensor.nbytes for tensor in blocks.values())) as progress:
        return _hash((blocks[name] for name in sorted(blocks)), progress)


def hash_file(source: str | os.PathLike[str], encoder: InternViT) -> str:
    """The same of the encoder in a file, for one that is not in memory as it is there.

    Args:
        source: As in :func:`internvl_seg.load_encoder`.
        encoder: Whose blocks and heads the file does not tell.
    """
    file = EncoderFile.find(open_source(source))
    with building("meta", None):
        whole = InternViT(**file.architecture({"depth": encoder.depth, "num_heads": encoder.num_heads}))
    names = [f"blocks.{name}" for name in sorted(name for name, _ in whole.blocks.named_parameters())]
    with ReadingProgress(f"Comparing {file.source.where}", sum(map(file.nbytes, names))) as progress:
        # Mapped where they can be: what is only looked at needs no memory of its own.
        blocks = (file.load(name, whole, file.dtype(name), "cpu", mmap=True) for name in names)
        return _hash(blocks, progress)


def _hash(parameters: Iterable[Tensor], progress: ReadingProgress) -> str:
    digest = hashlib.sha256()
    for parameter in parameters:
        # In bf16, which every release survives exactly, so that one encoder has one hash in any dtype.
        digest.update(parameter.detach().bfloat16().contiguous().view(torch.int16).cpu().numpy().data)
        progress.advance(parameter.nbytes)
    return digest.hexdigest()


def hash_parameters(module: nn.Module) -> str:
    """A SHA-256 of all parameters and buffers of a module, with their names, shapes and dtypes, in hexadecimal."""
    return hash_tensors([*module.named_parameters(), *module.named_buffers()])


def hash_tensors(named: Iterable[tuple[str, Tensor]]) -> str:
    """The same of tensors with their names, in whatever order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(named):
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
