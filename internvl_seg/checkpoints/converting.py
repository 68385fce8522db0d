"""From one format of a checkpoint to another, with an account of what went where."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..encoder.dtypes import find_dtype
from ..encoder.intern_vit import InternViT
from .adapters import find_adapters, merge_adapters
from .chat_model import find_vision_encoder, insert_encoder
from .containers import find_weights
from .encoder_file import EncoderFile
from .errors import CheckpointNotFoundError, KeyMismatchError, NotACheckpointError, list_names
from .exporting import ENCODER_FORMATS, describe, place_of, write_encoder, write_tensors
from .file_kinds import check_kind
from .finite_weights import check_weights
from .loading import load_encoder
from .meta_config import read_told
from .plain_weights import check_plain
from .reference import REFERENCE, WrongEncoderError, embeddings_of, hash_encoder, is_reference, read_reference
from .sources import INDEX_SUFFIX, Source, open_source
from .study_encoder import find_of_study, is_of_study, readable
from .told import OWN
from .torch_files import look
from .weight_names import unwrapped

# How a segmentor's parts are called here and in official files; the encoder and the heads are called alike.
SEGMENTOR_FORMATS = {"segmentor": ("backbone.up", "neck.up"), "official_segmentor": ("neck.up", "backbone.up")}
FORMATS = (*ENCODER_FORMATS, *SEGMENTOR_FORMATS)
_PARTS = ("backbone.", "neck.", "decode_head.", "auxiliary_head.")


@dataclass(frozen=True)
class ConversionReport:
    """What went where.

    Attributes:
        moved: (group of names in the source, group in the destination, number of tensors).
        left_out: (what, why).
    """

    moved: tuple[tuple[str, str, int], ...]
    left_out: tuple[tuple[str, str], ...]


def _group(name: str) -> str:
    """The part of a model that a tensor belongs to, such as ``backbone.blocks.*``."""
    parts = name.split(".")
    depth = 2 if len(parts) > 2 and parts[0] in ("backbone", "neck", "encoder", "model") else 1
    return ".".join(parts[:depth]) + (".*" if len(parts) > depth else "")


def _count(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str, int], ...]:
    counts = Counter((_group(old), _group(new)) for old, new in pairs)
    return tuple((*groups, number) for groups, number in counts.items())


def _beside_tensors(path: Path) -> list[tuple[str, str]]:
    """What a checkpoint of a training run holds besides the weights."""
    if not path.is_file() or path.name.endswith(INDEX_SUFFIX) or check_kind(path) != "torch":
        return []
    checkpoint = look(path).content
    keys = find_weights(checkpoint, path)
    return [(str(key), "not weights") for key in checkpoint if keys and key not in (keys[0], OWN)]


def _find_reference(source: Source) -> str:
    """Name of what stands for a frozen encoder, or nothing if the checkpoint holds its encoder."""
    found = [name for name in source.reader.names if is_reference(name)]
    if len(found) > 1:
        raise NotACheckpointError(
            f"{source.where} refers to {len(found)} encoders, {list_names(found)}, expected one. Save each model in a "
            "file of its own."
        )
    return found[0] if found else ""


def _stand_ins(source: Source) -> set[str]:
    """Names of what a checkpoint holds in place of its encoder: a reference, and adapters."""
    reference = _find_reference(source)
    return {reference, *find_adapters(source, reference.removesuffix(REFERENCE))} if reference else set()


def _read_encoder(
    path: str | os.PathLike[str], source: Source, encoder: str | os.PathLike[str] | None, options: dict[str, Any]
) -> InternViT:
    """The encoder in a checkpoint, or the one that it refers to, with the checkpoint's adapters merged into it.

    Raises:
        NonFiniteWeightsError: A weight of it is NaN or infinite; all are looked through, as all are to be written.
    """
    reference = _find_reference(source)
    if not reference:
        model = load_encoder(path, **options)
        check_weights(model.named_parameters(), source.where)
        return model
    told = read_reference(source.reader.read(reference))
    prefix = reference.removesuffix(REFERENCE)
    run = read_told(source.reader.about, prefix, source.where)
    if run is not None:  # The encoder's own file may not tell what the run computed with.
        # The rows and columns of positions are in no file of a study's: it has those that the run had.
        wanted = (
            "num_heads",
            "norm_eps",
            "in_chans",
            "extra_bands",
            *(("img_size",) if is_of_study(told.checkpoint) else ()),
        )
        options = {name: run.values[name] for name in wanted if name in run.values} | options
    place = encoder or find_of_study(told.checkpoint, path) or told.checkpoint
    named = readable(told.checkpoint, path)
    missing = f"{source.where} holds heads on the frozen encoder {named!r} and not the encoder itself"
    remedy = "Name the file or folder that it is in now: --encoder FILE, in Python encoder=."
    if place == told.checkpoint and is_of_study(place):
        raise CheckpointNotFoundError(
            f"{missing}; there is no such file in the folder of its study, which is the one around the checkpoint's "
            f"own. {remedy}"
        )
    try:
        model = load_encoder(place, **options)
    except CheckpointNotFoundError as error:
        if encoder is not None:
            raise
        raise CheckpointNotFoundError(f"{missing}, which is not there (looked from {Path.cwd()}). {remedy}") from error
    if how := told.differs(hash_encoder(model), embeddings_of(model)):
        raise WrongEncoderError(
            f"{source.where} was trained on the frozen encoder {named!r}, but {os.fspath(place)!r} is another one "
            f"({how}). Name the right one: encoder=, or --encoder."
        )
    merge_adapters(model, source, prefix)
    check_weights(model.named_parameters(), f"{source.where}, on {os.fspath(place)}")
    return model


def _report_encoder(source: Source, model: InternViT, rename: Callable[[str], list[str]]) -> ConversionReport:
    """What went where if an encoder's parameters were written by their new names."""
    used: set[str] = set()
    pairs: list[tuple[str, str]] = []
    stand_ins = _stand_ins(source)
    found = None if stand_ins else EncoderFile.find(source)
    for name, _ in model.named_parameters():
        old = found.names(name) if found else [name]
        used |= set(old)
        pairs += [(old[0], new) for new in rename(name)]
    rest = Counter(_group(name) for name in source.reader.names - used - stand_ins)
    left = [(f"{group} ({number} tensors)", "not part of an encoder") for group, number in sorted(rest.items())]
    return ConversionReport(_count(pairs), tuple(left))


def _to_encoder(source: Source, path: Path, to: str, model: InternViT) -> ConversionReport:
    write_encoder(model, path, to=to)
    return _report_encoder(source, model, ENCODER_FORMATS[to].rename)


def _to_segmentor(source: Source, path: Path, to: str, model: InternViT) -> ConversionReport:
    names = source.reader.names
    if homeless := [name for name in names if not name.startswith(_PARTS)]:
        raise KeyMismatchError(
            f"{source.where} is no segmentor: a place for {len(homeless)} of its tensors is not known, "
            f"{list_names(homeless)}. Known are {', '.join(part + '*' for part in _PARTS)}."
        )
    old, new = SEGMENTOR_FORMATS[to]
    encoder = {f"backbone.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    rest = sorted(names - encoder.keys() - _stand_ins(source))
    check_plain(source.reader, rest, source.where)
    read = {name: source.reader.read(name) for name in rest}
    check_weights(read.items(), source.where)
    renamed = {name: name.replace(old, new, 1) if name.startswith(old) else name for name in rest}
    if twice := [name for name in rest if renamed[name] != name and renamed[name] in read]:
        raise KeyMismatchError(
            f"{source.where} holds a pyramid twice, at {old}* and at {new}*, such as {list_names(twice, 1)}: which of "
            "them is used is not known. Leave one out."
        )
    tensors: dict[str, Tensor] = encoder | {renamed[name]: tensor for name, tensor in read.items()}
    pairs = [*((name, name) for name in encoder), *renamed.items()]
    write_tensors(tensors, path, "state_dict", describe(model))
    return ConversionReport(_count(pairs), ())


def _choose_format(source: Source, path: Path, to: str | None) -> str:
    has_head = any(name.startswith("decode_head.") for name in source.reader.names)
    if to is None:
        to = "segmentor" if has_head else "official" if path.suffix in (".pth", ".safetensors") else "hf_native"
    if to in SEGMENTOR_FORMATS and not has_head:
        raise NotACheckpointError(f"{source.where} holds no segmentor: nothing in it is called decode_head.*.")
    return to


def convert_checkpoint(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    to: str | None = None,
    into: str | os.PathLike[str] | None = None,
    encoder: str | os.PathLike[str] | None = None,
    num_heads: int | None = None,
    dtype: torch.dtype | str | None = None,
) -> ConversionReport:
    """Convert an encoder or a segmentor. Threads may convert at the same time, to a destination each.

    Args:
        source: As :func:`internvl_seg.load_encoder` takes it. A checkpoint of heads on a frozen encoder becomes a whole
            one; adapters (LoRA) are merged into the weights.
        destination: File or folder to write, as :func:`export_encoder` does; segmentors are files.
        to: 'official', 'hf_remote_code' or 'hf_native' for an encoder; 'segmentor' for one as this package trains
            them, 'official_segmentor' for one as the official code does (MMSegmentation 0.x). If None, 'segmentor' of
            whatever holds a segmentor's head; of all else, 'official' for ``.pth`` and
            ``.safetensors``, 'hf_native' for other names.
        into: Folder of an InternVL chat model, of which a copy with this encoder is written instead
            (:func:`~internvl_seg.checkpoints.chat_model.insert_encoder`); formats and dtypes are the chat model's.
        encoder: The encoder that a checkpoint of heads refers to, if it is no longer where it was.
        num_heads: Attention heads, if the file does not tell.
        dtype: Of the encoder's weights, also as text; the file's if None.

    Returns:
        What went where, and what was left out and why.

    Raises:
        ValueError: There is no such format, or arguments exclude each other.
        CheckpointError: A subclass says what is wrong; nothing was written.
    """
    if to is not None and to not in FORMATS:
        raise ValueError(f"to={to!r} is no format; choose one of {', '.join(FORMATS)}.")
    if into is not None and (to is not None or dtype is not None):
        raise ValueError("into= keeps the formats and dtypes of the chat model: leave to= and dtype= out.")
    dtype = find_dtype(dtype)
    opened, path = open_source(source), place_of(destination)
    opened = replace(opened, reader=unwrapped(opened.reader, opened.where))
    options: dict[str, Any] = {"dtype": dtype} | ({} if num_heads is None else {"num_heads": num_heads})
    if into is not None:
        place = find_vision_encoder(into)  # Before an encoder, which may be large, is read for nothing.
        model = _read_encoder(source, opened, encoder, options)
        insert_encoder(model, into, path)
        report = _report_encoder(opened, model, place.names)
    else:
        to = _choose_format(opened, path, to)
        model = _read_encoder(source, opened, encoder, options)
        report = (_to_encoder if to in ENCODER_FORMATS else _to_segmentor)(opened, path, to, model)
    beside = _beside_tensors(Path(source).expanduser())
    return ConversionReport(report.moved, (*report.left_out, *beside))
