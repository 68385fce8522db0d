"""What a checkpoint of a frozen encoder's head holds in place of the encoder: where it came from, and a hash of it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..encoder import InternViT
from ..encoder.lora import is_lora, official_name
from ..encoder.position import widen_patch_embed
from ..encoder.releases import building
from .architecture import find_architecture
from .encoder_file import EncoderFile
from .errors import CheckpointError
from .formats import ANCHOR
from .progress import ReadingProgress
from .sources import open_source
from .study_encoder import is_of_study, readable

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
        whole = InternViT(**find_architecture(file, {"depth": encoder.depth, "num_heads": encoder.num_heads}))
    names = [f"blocks.{name}" for name in sorted(name for name, _ in whole.blocks.named_parameters())]
    with ReadingProgress(f"Comparing {file.source.where}", sum(map(file.nbytes, names))) as progress:
        # Mapped where they can be: what is only looked at needs no memory of its own.
        blocks = (file.load(name, whole, file.dtype(name), "cpu", mmap=True) for name in names)
        return _hash(blocks, progress)


def _hash(parameters: Iterable[Tensor], progress: ReadingProgress) -> str:
    digest = hashlib.sha256()
    for parameter in parameters:
        _update(digest, parameter)
        progress.advance(parameter.nbytes)
    return digest.hexdigest()


def _update(digest: Any, parameter: Tensor) -> None:
    """Add a parameter in bf16, which every release survives exactly, so that one encoder has one hash in any dtype."""
    digest.update(parameter.detach().bfloat16().contiguous().view(torch.int16).cpu().numpy().data)


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


def hash_embeddings(read: Callable[[str], Tensor], grid: tuple[int, int]) -> dict[str, str]:
    """Hashes of what stands before an encoder's blocks: the one half is the same at every image size.

    Args:
        read: Gives a parameter by its official name.
        grid: Rows and columns of its position embedding.

    Returns:
        ``embeddings``, of the CLS token, its position and the patch embedding, and ``positions``, of those of the
        patches with their grid before it, such as ``16x16 0a1b...``. In bf16, as the blocks'.
    """
    pos_embed = read("pos_embed")
    fixed = [read(name) for name in ("cls_token", ANCHOR, "patch_embed.proj.bias")]
    same = _digest([*fixed, pos_embed[:, :1]])
    return {"embeddings": same, "positions": f"{grid[0]}x{grid[1]} {_digest([pos_embed[:, 1:]])}"}


def embeddings_of(encoder: InternViT) -> dict[str, str]:
    """The same of an encoder: as it stands in the file that it was read from, or else as it is."""
    return encoder.stored_embeddings or hash_embeddings(encoder.get_parameter, encoder.grid_size)


def hash_stored_embeddings(file: EncoderFile, encoder: InternViT) -> dict[str, str]:
    """The same of the encoder in a file, as it stands there, but for the bands that an encoder makes of it."""

    def read(parameter: str) -> Tensor:
        data = file.read(parameter)
        return widen_patch_embed(data, encoder.in_chans, encoder.extra_bands) if parameter == ANCHOR else data

    return hash_embeddings(read, file.grid(encoder.grid_size))


def _digest(parameters: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for parameter in parameters:
        _update(digest, parameter)
    return digest.hexdigest()


def write_reference(checkpoint: str, sha256: str, embeddings: Mapping[str, str] | None = None) -> Tensor:
    """A reference as a tensor of bytes, uint8, so that it passes through whatever keeps state dicts.

    Args:
        checkpoint: Where an encoder came from.
        sha256: Its hash.
        embeddings: Of :func:`hash_embeddings`, if ``sha256`` does not cover them.
    """
    told = {"checkpoint": checkpoint, "sha256": sha256, **(embeddings or {})}
    return torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)


@dataclass(frozen=True)
class Reference:
    """What stands for a frozen encoder.

    Attributes:
        checkpoint: Where it came from, as :func:`internvl_seg.load_encoder` takes it.
        sha256: Its :func:`hash_encoder`.
        embeddings: Its :func:`hash_embeddings`; '' in checkpoints from before there were any.
        positions: As ``embeddings``.
    """

    checkpoint: str
    sha256: str
    embeddings: str = ""
    positions: str = ""

    def differs(self, sha256: str, embeddings: Mapping[str, str]) -> str:
        """In what another encoder differs, for a message; '' if it is the same as far as can be told.

        Positions of two grids cannot be compared: an encoder at another image size is the same.

        Args:
            sha256: Of the other.
            embeddings: Of the other.
        """
        if sha256 != self.sha256:
            return f"SHA-256 {self.sha256[:12]}..., not {sha256[:12]}..."
        if self.embeddings and self.embeddings != embeddings["embeddings"]:
            return "equal blocks, but another CLS token or patch embedding"
        grid, _, positions = self.positions.partition(" ")
        own_grid, _, own = embeddings["positions"].partition(" ")
        if self.positions and grid == own_grid and positions != own:
            return "equal blocks, but another position embedding"
        return ""


def read_reference(reference: Tensor) -> Reference:
    """What a tensor of bytes says.

    Raises:
        WrongEncoderError: It is none that :func:`write_reference` made.
    """
    try:
        told = json.loads(bytes(reference.tolist()))
        if all(isinstance(told[name], str) for name in ("checkpoint", "sha256")):
            return Reference(
                told["checkpoint"], told["sha256"], str(told.get("embeddings", "")), str(told.get("positions", ""))
            )
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    raise WrongEncoderError(
        f"The checkpoint's {REFERENCE} is damaged: it does not say which frozen encoder its heads were trained on."
    )


def is_reference(name: str) -> bool:
    """Whether a name in a state dict is that of a reference."""
    return f".{name}".endswith(f".{REFERENCE}")


def readable_reference(reference: Any, where: str | os.PathLike[str]) -> Any:
    """A reference whose encoder is named as messages are to name it.

    Args:
        reference: As it was read from a checkpoint; what is none stays as it is, for those who look at it.
        where: The checkpoint's file.
    """
    try:
        told = read_reference(reference)
    except (WrongEncoderError, AttributeError):
        return reference
    if not is_of_study(told.checkpoint):
        return reference
    told = replace(told, checkpoint=readable(told.checkpoint, where))
    return write_reference(told.checkpoint, told.sha256, {"embeddings": told.embeddings, "positions": told.positions})
