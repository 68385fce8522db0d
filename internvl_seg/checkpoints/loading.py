"""Reading an InternViT out of any released file, exactly or not at all."""

import functools
import inspect
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..common.devices import find_device
from ..encoder.allocation import allocate
from ..encoder.dtypes import find_dtype
from ..encoder.intern_vit import InternViT, Size
from ..encoder.linear import Linear
from ..encoder.quantization import check_quantization, quantize_linear
from ..encoder.releases import building
from ..encoder.streamed_blocks import StreamedBlocks
from .architecture import check_encoder, count_blocks, find_architecture
from .encoder_file import EncoderFile
from .errors import ChangedCheckpointError, UnknownArchitectureError
from .progress import ReadingProgress
from .reference import hash_stored_embeddings
from .sharded import local_rows
from .sources import open_source
from .stored import Stored

logger = logging.getLogger(__name__)


def assign_parameter(module: nn.Module, name: str, data: Tensor) -> None:
    """Put data in the place of a parameter, whatever device that was on."""
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Parameter(data))


def give_memory(module: nn.Module, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
    """Put a module's parameters, uninitialised, from the meta device into memory."""
    for name, parameter in list(module.named_parameters()):
        assign_parameter(module, name, allocate(tuple(parameter.shape), dtype, device))


def check_overrides(overrides: dict[str, Any]) -> None:
    """Refuse arguments that an encoder does not have.

    Raises:
        ValueError: There is one; the message says what it is called here, if it is one of ``from_pretrained``.
    """
    known = set(inspect.signature(InternViT).parameters)
    for name in overrides:
        if name == "torch_dtype":
            raise ValueError("torch_dtype= is called dtype= here.")
        if name not in known:
            raise ValueError(f"{name}= is no argument of an encoder; there are {', '.join(sorted(known))}.")


def load_encoder(
    source: str | os.PathLike[str],
    *,
    img_size: Size | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str = "cpu",
    quantization: str | None = None,
    blocks_in_memory: int | None = None,
    mmap: bool = True,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    subfolder: str | None = None,
    **overrides: Any,
) -> InternViT:
    """Load a released InternViT, or one in the same formats, with its architecture told from the file.

    Formats: the official ``.pth``, Hugging Face's remote-code and native ones, each also inside a whole InternVL chat
    model, a segmentor or a classifier; of those, only the encoder's tensors are read. Parts of a file that no encoder
    uses are left out: ``clip_projector``, ``attn_pooling``, a classifier's ``norm`` and ``head``, a segmentor's
    ``up1`` to ``up4`` and heads, a pooler, a mask token. Anything else that is too much or missing is an error.

    Threads may load at the same time.

    Args:
        source: A name of ``list_encoders()``, a hub id, a folder, or a ``.pth``, ``.safetensors`` or index file; of the
            hub also a revision (``owner/name@v1.0``) or one file (``owner/name:folder/weights.pth``).
        img_size: Side, or (height, width), in pixels to which the position grid is resized; the file's if None.
        dtype: Of the weights, also as text ('bfloat16'). If None the file's; where it has several, the log says so,
            and it is the one that holds the values of all, which of bfloat16 and float32 is float32.
        device: Where to put the weights.
        quantization: Weights of fewer bits, for inference, as :func:`internvl_seg.encoder.quantize_encoder` makes them.
        blocks_in_memory: For inference in little memory: keep so many blocks, at least 1, and read the others from the
            file each time they are needed, the next while one computes. All if None. Gradients, hooks on those others,
            other parameters in them, state dicts and pickling are errors; a change of one's ``.data`` has no effect.
        mmap: Let weights on the CPU that are to be as they are in the file stay mapped from it: they take no memory
            besides the system's cache of it, which all processes share. While they are in use the file must not be
            overwritten in place; False reads them into memory of their own.
        revision: Of a hub repository: branch, tag or commit.
        token: For the hub; the stored one if None.
        cache_dir: Where files of the hub are kept; ``HF_HOME`` decides if None.
        subfolder: Of the hub repository, or of the folder.
        **overrides: Arguments of :class:`InternViT` that the file cannot tell (``num_heads``, ``drop_path_rate``,
            ``attention``...) or that ask for less or other than it holds: ``depth`` for its first blocks only,
            ``patch_size`` for resized patches, ``in_chans`` for other bands than RGB, with ``extra_bands``
            (:func:`internvl_seg.encoder.position.widen_patch_embed`).

    Returns:
        The encoder, in eval mode.

    Raises:
        CheckpointError: A subclass says what is wrong; nothing was loaded. Weights that are NaN or infinite are an
            error of these, too, but for those of blocks over 1 MiB that stay mapped, which are not read here.
        ValueError: An override does not fit, or there is none of that name.
    """
    check_quantization(quantization)
    check_overrides(overrides)
    if quantization is not None and blocks_in_memory is not None:
        raise ValueError(
            f"quantization={quantization!r} and blocks_in_memory={blocks_in_memory} exclude each other: blocks are "
            "read as they are in the file. Leave one of them out."
        )
    dtype, device = find_dtype(dtype), find_device(device)
    opened = open_source(source, revision=revision, token=token, cache_dir=cache_dir, subfolder=subfolder)
    file = EncoderFile.find(opened)
    if img_size is not None:
        overrides["img_size"] = img_size
    with building("meta", None):
        encoder = InternViT(**find_architecture(file, overrides))
    _check(file, encoder)
    dtype = dtype or find_common_dtype(file, encoder)
    parameters = dict(encoder.named_parameters())
    if blocks_in_memory is not None:
        _stream(encoder, file, dtype, device, blocks_in_memory)
        parameters = {name: p for name, p in parameters.items() if not name.startswith("blocks.")}
    with ReadingProgress(f"Reading {file.source.where}", sum(map(file.nbytes, parameters))) as progress:
        for name in parameters:
            data = file.load(name, encoder, dtype, device, mmap, check_all=quantization is not None)
            assign_parameter(encoder, name, data)
            progress.advance(file.nbytes(name))
            if quantization is not None:
                _quantize_if_complete(encoder, name, quantization)
    encoder.stored_embeddings = hash_stored_embeddings(file, encoder)
    encoder.quantization = quantization
    if quantization is not None or blocks_in_memory is not None:
        encoder.requires_grad_(False)
    return encoder.eval()


def find_common_dtype(file: EncoderFile, encoder: InternViT) -> torch.dtype:
    """The dtype of an encoder's weights in a file: of several the one that holds the values of all of them."""
    counts = Counter(dtype for name, _ in encoder.named_parameters() for dtype in file.dtypes(name))
    widest = functools.reduce(torch.promote_types, counts)
    if len(counts) > 1:
        told = ", ".join(f"{count} as {str(dtype).removeprefix('torch.')}" for dtype, count in counts.most_common())
        logger.warning(
            "%s holds %d weights, %s: the encoder is %s, which holds them all. Pass dtype= for another one.",
            *(file.source.where, counts.total(), told, str(widest).removeprefix("torch.")),
        )
    return widest


def _quantize_if_complete(encoder: InternViT, name: str, kind: str) -> None:
    """Quantize the layer of a parameter that was read, if it is a block's linear layer and the last one of it."""
    layer_name = name.rpartition(".")[0]
    layer = encoder.get_submodule(layer_name)
    if type(layer) is Linear and not any(parameter.is_meta for parameter in layer.parameters()):
        parent, _, leaf = layer_name.rpartition(".")
        setattr(encoder.get_submodule(parent), leaf, quantize_linear(layer, kind))


def _stream(encoder: InternViT, file: EncoderFile, dtype: torch.dtype, device: torch.device | str, count: int) -> None:
    """Let an encoder's blocks be read from a file when they are needed."""
    checked: set[int] = set()
    names = [name for parameter, _ in encoder.blocks.named_parameters() for name in file.names(f"blocks.{parameter}")]
    stored = [file.source.reader.stored(name) for name in names]
    opened = {part.path: _identity(part.path) for part in stored if isinstance(part, Stored)}

    def read(number: int, block: nn.Module) -> None:
        for path, identity in opened.items():
            if _identity(path) != identity:
                raise ChangedCheckpointError(
                    f"{path} is no longer the file that was opened: it was replaced, written to or removed. Blocks are "
                    "read from it whenever they are needed, so load the encoder again."
                )
        for name, parameter in block.named_parameters():
            file.read_into(f"blocks.{number}.{name}", encoder, parameter, check=number not in checked)
        checked.add(number)

    encoder.blocks = StreamedBlocks(encoder.blocks, read, lambda block: give_memory(block, dtype, device), count)


def _identity(path: Path) -> tuple[int, ...] | None:
    """What tells a file from another one, or from itself after a change; None if there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


@torch.no_grad()
def read_weights(encoder: InternViT, source: str | os.PathLike[str]) -> None:
    """Copy weights into an encoder that is there, tensor by tensor; if it is sharded, each process takes its part.

    Args:
        encoder: The encoder; its dtype, devices, position grid and patch size stay.
        source: As in :func:`load_encoder`.

    Raises:
        CheckpointError: A subclass says what is wrong; of a weight that is NaN or infinite it is found while others
            were read already.
    """
    file = EncoderFile.find(open_source(source))
    _check(file, encoder)
    parameters = dict(encoder.named_parameters())
    with ReadingProgress(f"Reading {file.source.where}", sum(map(file.nbytes, parameters))) as progress:
        for name, parameter in parameters.items():
            rows, start = local_rows(parameter)
            file.read_into(name, encoder, rows, start)
            progress.advance(file.nbytes(name))


def _check(file: EncoderFile, encoder: InternViT) -> None:
    if encoder.depth > (depth := count_blocks(file)):
        raise UnknownArchitectureError(
            f"{file.source.where} has {depth} blocks, fewer than the depth={encoder.depth} asked for."
        )
    check_encoder(file, encoder)
