"""Writing an InternViT in the formats in which it is published."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..encoder.block import NORM_EPS
from ..encoder.intern_vit import InternViT
from ..encoder.lora import is_lora
from .errors import CheckpointError, DestinationError, list_names, printable
from .finite_weights import check_weights
from .formats import HF_NATIVE, HF_REMOTE_CODE, OFFICIAL, Format
from .reading import open_file
from .told import OWN

# What ``--to`` takes: a file, and two kinds of folders.
ENCODER_FORMATS: dict[str, Format] = {
    "official": OFFICIAL,
    "hf_remote_code": HF_REMOTE_CODE,
    "hf_native": HF_NATIVE,
}
# Where the classes are that read a folder in the remote-code format.
_CODE = "OpenGVLab/InternViT-300M-448px"
_CLASSES = {
    "AutoConfig": "configuration_intern_vit.InternVisionConfig",
    "AutoModel": "modeling_intern_vit.InternVisionModel",
}


@contextmanager
def writing(destination: Path) -> Iterator[Path]:
    """A temporary name beside a file or folder that is to be written, which gets its own when that is done.

    Raises:
        DestinationError: There is something already, or the disk does not take it.
    """
    try:
        if destination.exists():
            raise DestinationError(f"{destination} exists already. Remove it, or name another place.")
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = destination.with_name(f".{destination.name}.tmp")
        _remove(temporary)  # Of a run that was killed.
    except (OSError, ValueError) as error:  # Below a file, too long, or with a character that no name has.
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise DestinationError(
            f"{printable(str(destination))} cannot be written: {why}. Name another place."
        ) from error
    try:
        yield temporary
        for path in (temporary, *temporary.rglob("*")) if temporary.is_dir() else (temporary,):
            _flush(path)
        temporary.rename(destination)
        _flush(destination.parent)
    except (OSError, SafetensorError) as error:
        raise DestinationError(f"{destination} could not be written ({error}); nothing of it is left.") from error
    finally:
        _remove(temporary)


def place_of(destination: str | os.PathLike[str]) -> Path:
    """The path of what is to be written.

    Raises:
        DestinationError: It is none.
    """
    name = os.fspath(destination) if isinstance(destination, (str, os.PathLike)) else destination
    if not isinstance(name, str):
        raise DestinationError(f"{name!r} is no place to write to: expected a text or a path.")
    return Path(name)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _check_written(path: Path, tensors: dict[str, Tensor], destination: Path) -> None:
    """Check that a file can be read back: all names, shapes and dtypes, and room for all data.

    Raises:
        DestinationError: It cannot.
    """
    try:
        reader = open_file(path)
        found = {name: (reader.shape(name), reader.dtype(name)) for name in reader.names}
    except CheckpointError as error:
        raise DestinationError(f"{destination} was not written as it should be: {error}") from error
    wanted = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    if wrong := [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]:
        raise DestinationError(f"{destination} was not written as it should be: it lacks {list_names(wrong)}.")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_tensors(
    tensors: dict[str, Tensor], destination: Path, container: str, about: dict[str, Any] | None = None
) -> None:
    """Write a file of tensors: ``.safetensors``, or a ``torch.save`` file of ``{container: tensors}``.

    Args:
        tensors: By name.
        destination: The file; its suffix tells the format.
        container: Key under which a ``torch.save`` file holds them.
        about: What is kept beside them under the key ``internvl_seg``, as others leave alone; nothing if None.

    Raises:
        DestinationError: There is something already, or it could not be written.
    """
    with writing(destination) as temporary:
        if destination.suffix == ".safetensors":
            metadata = None if about is None else {OWN: json.dumps(about)}
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)
        else:
            try:
                torch.save({container: tensors} | ({} if about is None else {OWN: about}), temporary)
            except RuntimeError as error:  # Of PyTorch's writer, if the disk is full.
                raise OSError(str(error)) from error
        _check_written(temporary, tensors, destination)


def describe(encoder: InternViT) -> dict[str, Any]:
    """What names and shapes do not tell of an encoder, as files hold it beside its weights."""
    size = [side * encoder.patch_size for side in encoder.grid_size]
    return {"img_size": size, "num_heads": encoder.num_heads, "norm_eps": encoder.norm_eps}


def rename_tensors(encoder: InternViT, to: Format) -> dict[str, Tensor]:
    """An encoder's weights by the names of a format. They are views: nothing is copied.

    Raises:
        ValueError: The encoder has adapters, or not all of its weights.
    """
    if not encoder.has_all_weights:
        raise ValueError(
            "The encoder is quantized, or its blocks are read when they are needed, so it cannot be written: load it "
            "without quantization and blocks_in_memory."
        )
    if any(is_lora(name) for name, _ in encoder.named_parameters()):
        raise ValueError("The encoder has LoRA adapters, which no format has a place for: call merge_lora() first.")
    tensors: dict[str, Tensor] = {}
    for name, parameter in encoder.named_parameters():
        names = to.rename(name)
        tensors |= dict(zip(names, parameter.detach().chunk(len(names)), strict=True))
    return tensors


def _write_shards(tensors: dict[str, Tensor], folder: Path, max_shard_size: int | str) -> None:
    """Write ``.safetensors`` as ``huggingface_hub.save_torch_state_dict`` does, which refuses views of one tensor."""
    # Split by shapes alone: of tensors in memory, views that share it would be counted as one.
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    split = split_torch_state_dict_into_shards(shapes, max_shard_size=max_shard_size)
    for file, names in split.filename_to_tensors.items():
        part = {name: tensors[name].contiguous() for name in names}
        save_file(part, folder / file, metadata={"format": "pt"})
        _check_written(folder / file, part, folder / file)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _config(encoder: InternViT, to: str) -> dict[str, Any]:
    """``config.json`` of a Hugging Face folder."""
    block: Any = encoder.blocks[0]
    height, width = (side * encoder.patch_size for side in encoder.grid_size)
    is_rms = isinstance(block.norm1, torch.nn.RMSNorm)
    config = {
        "hidden_size": encoder.embed_dim,
        "num_hidden_layers": encoder.depth,
        "num_attention_heads": encoder.num_heads,
        "intermediate_size": block.mlp.fc1.out_features,
        "norm_type": "rms_norm" if is_rms else "layer_norm",
        "layer_norm_eps": encoder.norm_eps,
        "hidden_act": "gelu",
        "num_channels": encoder.patch_embed.proj.in_channels,
        "torch_dtype": str(encoder.dtype).removeprefix("torch."),
    }
    qkv_bias, qk_norm = block.attn.qkv.bias is not None, hasattr(block.attn.q_norm, "weight")
    if to == "hf_native":
        patch = [encoder.patch_size, encoder.patch_size]
        names = {"model_type": "internvl_vision", "architectures": ["InternVLVisionModel"]}
        return config | names | {
            "attention_bias": qkv_bias, "use_qk_norm": qk_norm, "image_size": [height, width], "patch_size": patch,
        }  # fmt: skip
    # Of OpenGVLab's repository, which transformers gets when it is told to trust it: the folder itself holds no code.
    code = {kind: f"{_CODE}--{name}" for kind, name in _CLASSES.items()}
    remote: dict[str, Any] = {
        "model_type": "intern_vit_6b", "architectures": ["InternVisionModel"], "auto_map": code,
    }  # fmt: skip
    size = height if height == width else [height, width]
    return config | remote | {
        "qkv_bias": qkv_bias, "qk_normalization": qk_norm, "image_size": size, "patch_size": encoder.patch_size,
    }  # fmt: skip


def export_encoder(
    encoder: InternViT, destination: str | os.PathLike[str], *, to: str, max_shard_size: int | str = "5GB"
) -> None:
    """Write an encoder so that :func:`internvl_seg.load_encoder`, the official code or transformers read it.

    Threads may export at the same time, to a destination each.

    Args:
        encoder: The encoder, without adapters (:func:`internvl_seg.encoder.lora.merge_lora`); its dtype is kept.
        destination: File for 'official' (``.pth``, or ``.safetensors``), folder for the others. It appears whole.
        to: 'official' 'hf_remote_code' (as OpenGVLab's repositories) or 'hf_native' (transformers'
            ``InternVLVisionModel``).
        max_shard_size: In a folder, weights above it are split over several files.

    Raises:
        ValueError: There is no such format, it cannot say what the encoder's position grid or epsilon is, or the
            encoder has adapters.
        NonFiniteWeightsError: A weight is NaN or infinite.
        DestinationError: There is something already.
    """
    check_weights(encoder.named_parameters(), "The encoder")
    write_encoder(encoder, destination, to=to, max_shard_size=max_shard_size)


def write_encoder(
    encoder: InternViT, destination: str | os.PathLike[str], *, to: str, max_shard_size: int | str = "5GB"
) -> None:
    """As :func:`export_encoder`, of weights that are known to be finite."""
    if to not in ENCODER_FORMATS:
        raise ValueError(f"to={to!r} is no format of an encoder; choose one of {', '.join(ENCODER_FORMATS)}.")
    rows, columns = encoder.grid_size
    if to == "official" and rows != columns:
        raise ValueError(
            f"The encoder's position grid has {rows} rows and {columns} columns, but an official file says nothing of "
            "them and is read as a square: write 'hf_remote_code' or 'hf_native', or load it with a square img_size."
        )
    has_qk_norm = any(name.endswith("q_norm.weight") for name, _ in encoder.named_parameters())
    if to == "hf_native" and has_qk_norm and encoder.norm_eps != NORM_EPS:
        raise ValueError(
            f"The encoder has norm_eps={encoder.norm_eps}, but transformers' InternVLVisionModel gives the norms of "
            f"queries and keys {NORM_EPS} always: write 'official' or 'hf_remote_code'."
        )
    tensors = rename_tensors(encoder, ENCODER_FORMATS[to])
    path = place_of(destination)
    if to == "official":
        write_tensors(tensors, path, "module", describe(encoder))
        return
    with writing(path) as folder:
        folder.mkdir()
        _write_shards(tensors, folder, max_shard_size)
        (folder / "config.json").write_text(json.dumps(_config(encoder, to), indent=2) + "\n")
