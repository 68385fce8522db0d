"""A tuned encoder back into an InternVL chat model.

Shapes, dtypes and files of the chat model stay, so its folder is copied and the encoder's bytes are written over those
of the old one: all else is equal to the bit, and no more than one tensor is in memory beside the encoder.
"""

import os
import shutil
from pathlib import Path

import torch

from ..encoder.intern_vit import InternViT
from ..encoder.position import resize_pos_embed
from .architecture import check_encoder, find_architecture
from .encoder_file import EncoderFile
from .errors import CheckpointError, DestinationError
from .exporting import place_of, rename_tensors, writing
from .finite_weights import check_weights
from .formats import ANCHOR, OFFICIAL
from .progress import ReadingProgress
from .sources import open_source
from .stored import Stored

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# What is stored in others is quantised.
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Weights in the older format would still be those of the old encoder; the others are no part of a model.
_NOT_COPIED = shutil.ignore_patterns("pytorch_model*", ".git", ".cache")


class WrongChatModelError(CheckpointError):
    """A folder is no InternVL chat model, or of another encoder."""


def find_vision_encoder(chat_model: str | os.PathLike[str]) -> EncoderFile:
    """The vision encoder of a chat model.

    Args:
        chat_model: Folder with ``config.json`` and ``.safetensors``, as OpenGVLab publishes it (``vision_model.*``) or
            as transformers writes it (``vision_tower.*`` or ``model.vision_tower.*``).

    Raises:
        WrongChatModelError: It is no such folder.
        CheckpointError: Another subclass says what is wrong with a file; all of them are looked at.
    """
    folder = Path(chat_model).expanduser()
    if not any((folder / name).is_file() for name in (_INDEX, _WEIGHTS)):
        raise WrongChatModelError(
            f"{folder} holds no {_INDEX} and no {_WEIGHTS}. Name the folder of a chat model in .safetensors files."
        )
    file = EncoderFile.find(open_source(folder))
    if file.format is OFFICIAL or not file.prefix or not file.source.config:
        found = file.names(ANCHOR)[0] if file.source.config else "no config.json"
        raise WrongChatModelError(
            f"{folder} is no InternVL chat model, which has a config.json and an encoder at vision_model.* or "
            f"vision_tower.*: found {found}. An encoder alone is written by export_encoder, or --to."
        )
    for name in file.source.reader.names:  # Opens files without vision, too, so that none is missing or cut short.
        file.source.reader.shape(name)
    return file


def _check_fits(encoder: InternViT, file: EncoderFile, folder: Path) -> None:
    told = find_architecture(file, {})
    ours = {name: getattr(encoder, name) for name in ("depth", "embed_dim", "num_heads", "norm_eps", "patch_size")}
    wrong = [f"{name} {value} instead of {told[name]}" for name, value in ours.items() if value != told[name]]
    if wrong:
        raise WrongChatModelError(
            f"{folder} is the chat model of another encoder: the one to insert has {', '.join(wrong)}. "
            "Tune the chat model's own (load_encoder and init_cfg take its folder), or name the one it is from."
        )
    check_encoder(file, encoder)


def _find_place(file: EncoderFile, name: str, folder: Path) -> Stored:
    """Where a tensor of the encoder is in a chat model's files."""
    place = file.source.reader.stored(name)
    if place.dtype not in _DTYPES or not isinstance(place, Stored):
        raise WrongChatModelError(
            f"{folder} stores {name} as {place.dtype}, expected one of {', '.join(map(str, _DTYPES))}: this chat model "
            "is quantised. Take the one that it was made from, and quantise the result."
        )
    if place.path.parent != folder:  # It would be written to, wherever it is.
        raise WrongChatModelError(f"{folder / _INDEX} names {place.path}, which is not in its folder.")
    return place


def insert_encoder(encoder: InternViT, chat_model: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Write a chat model anew with another vision encoder; all else in its folder is copied.

    Files are copies and no hard links, because what edits or trains one model in place must not change the other.

    Args:
        encoder: The encoder, without adapters (:func:`internvl_seg.encoder.lora.merge_lora`), of the architecture that
            the chat model has. Its position embedding is resized to the chat model's grid, and its weights are cast to
            the dtypes of the chat model's files.
        chat_model: Folder, as :func:`find_vision_encoder` takes it.
        destination: Folder to write. It appears whole.

    Raises:
        WrongChatModelError: The folder is no chat model, or of another encoder.
        NonFiniteWeightsError: A weight of the encoder is NaN or infinite, or becomes so in the chat model's dtype.
        DestinationError: There is something already, or the destination is within the chat model's folder.
        CheckpointError: Another subclass says what is wrong with the chat model's files; nothing was written.
        ValueError: The encoder has adapters.
    """
    folder, path = Path(chat_model).expanduser(), place_of(destination)
    file = find_vision_encoder(folder)
    tensors = rename_tensors(encoder, file.format)
    _check_fits(encoder, file, folder)
    if (grid := file.grid()) != encoder.grid_size:
        (name,) = file.format.rename("pos_embed")
        tensors[name] = resize_pos_embed(tensors[name], encoder.grid_size, grid)
    places = {name: _find_place(file, file.prefix + name, folder) for name in tensors}
    cast = ((name, tensor.to("cpu", places[name].dtype)) for name, tensor in tensors.items())
    check_weights(cast, f"The encoder, in the dtypes of {folder}")
    if path.resolve().is_relative_to(folder.resolve()):
        raise DestinationError(f"{path} is within {folder}, which is to be copied. Name a place outside.")
    size = sum(shard.stat().st_size for shard in folder.glob("*.safetensors"))
    with writing(path) as temporary, ReadingProgress(f"Copying {folder}", size) as progress:

        def copy(source: str, target: str) -> None:
            shutil.copyfile(source, target)  # Without permissions, which caches may have taken away.
            progress.advance(Path(target).stat().st_size)

        shutil.copytree(folder, temporary, ignore=_NOT_COPIED, copy_function=copy)
        for name, tensor in tensors.items():
            data = tensor.to("cpu", places[name].dtype).contiguous()
            with (temporary / places[name].path.name).open("r+b") as shard:
                shard.seek(places[name].offset)
                shard.write(data.flatten().view(torch.uint8).numpy().data)
