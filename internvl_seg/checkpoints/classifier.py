"""Reading the official classification heads and the CLIP projector."""

import os
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..common.devices import find_device
from ..encoder.classifier import InternViTClassifier, Pooling, TokenClassifier
from ..encoder.intern_vit import InternViT
from ..encoder.releases import building
from .errors import KeyMismatchError, NotACheckpointError, ShapeMismatchError, list_names
from .finite_weights import check_weights
from .formats import find_encoders
from .loading import load_encoder
from .plain_weights import check_dtype
from .sources import Source, open_source
from .weight_names import RenamedReader, by_new_names, plain_names

# What stands before those of its names in a config's model.
MODEL_PREFIX = "head.classifier."
# Modules of an official classifier beside its encoder.
PARTS = ("norm.", "head.", "attn_pooling.", "clip_projector.")
# ``attn_pool_num_heads`` of the official code, which no file tells; other poolings have the encoder's heads.
_CLIP_PROJECTOR_HEADS = {3200: 16}

# As long as what a clip_projector gives.
_PROJECTED = "clip_projector.cross_attn.proj.bias"


def _kind(source: Source, embed_dim: int) -> tuple[Pooling, int, int]:
    """Which head a file holds: its pooling, the pooled channels and the number of classes."""
    reader = source.reader
    pooled = 0
    if any(name.startswith("clip_projector.") for name in reader.names):
        if _PROJECTED not in reader.names:
            raise KeyMismatchError(f"{source.where} holds a clip_projector without {_PROJECTED}.")
        (pooled,) = _shape(source, _PROJECTED, "channels")
    if "head.weight" not in reader.names:
        if pooled:
            return "clip_projector", pooled, 0
        raise NotACheckpointError(
            f"{source.where} holds no classifier, neither head.weight nor clip_projector; "
            f"found {list_names(reader.names)}."
        )
    num_classes, in_features = _shape(source, "head.weight", "classes", "channels")
    if in_features == 2 * embed_dim:
        return "cls_patch_concat", in_features, num_classes
    if "attn_pooling.norm1_q.weight" in reader.names and in_features == embed_dim:
        return "attention_pooling", in_features, num_classes
    if pooled == in_features:
        return "clip_projector", pooled, num_classes
    raise ShapeMismatchError(
        f"{source.where}: head.weight takes {in_features} channels, but the encoder's {embed_dim} make {2 * embed_dim} "
        "(CLS and mean), or as many as attn_pooling or clip_projector give."
    )


def _shape(source: Source, name: str, *sides: str) -> tuple[int, ...]:
    """Shape of a tensor, with as many sides as are named."""
    shape = source.reader.shape(name)
    if len(shape) != len(sides) or 0 in shape:
        expected = f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"
        raise ShapeMismatchError(f"{source.where}: {name} is {shape}, expected {expected}, none of them 0.")
    return shape


def _open(source: str | os.PathLike[str], **where: Any) -> Source:
    """Open a file with a classifier; its tensors have the official names, also in a checkpoint of a config's model."""
    opened = open_source(source, **where)
    plain = plain_names(opened.reader.names, opened.where)
    official = by_new_names({name: new.removeprefix(MODEL_PREFIX) for new, name in plain.items()}, opened.where)
    return replace(opened, reader=RenamedReader(opened.reader, official))


def load_classifier(
    source: str | os.PathLike[str],
    *,
    encoder: str | os.PathLike[str] | InternViT | None = None,
    dtype: torch.dtype | str | None = None,
    device: torch.device | str = "cpu",
    attn_pool_num_heads: int | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    subfolder: str | None = None,
    **overrides: Any,
) -> InternViTClassifier:
    """Load an official classifier: pooling, BatchNorm and linear layer on an InternViT.

    A file with ``clip_projector`` and no ``head`` (the released 224px encoder) gives the image embedding of CLIP.
    Threads may load at the same time.

    Args:
        source: As in :func:`load_encoder`, in the official format, or a checkpoint of a config's classifier.
        encoder: The encoder, or what :func:`load_encoder` takes, for a file that holds the head alone.
        dtype: Of the encoder's weights, also as text; the file's if None. The head is fp32.
        device: Where to put the weights.
        attn_pool_num_heads: Heads of the pooling; by default the official 16 of the 6B ``clip_projector`` and the
            encoder's number elsewhere.
        revision: Of a hub repository, as in :func:`load_encoder`, and so are the next three.
        token: For the hub.
        cache_dir: Where files of the hub are kept.
        subfolder: Of the hub repository, or of the folder.
        **overrides: Arguments of :class:`InternViT` that the file cannot tell.

    Returns:
        A module from normalised images (B, 3, H, W) to fp32 logits (B, classes), or embeddings, in eval mode.

    Raises:
        CheckpointError: A subclass says what is wrong; nothing was loaded.
        ValueError: An override does not fit, or there is none of that name.
    """
    device = find_device(device)
    where: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir, "subfolder": subfolder}
    opened = _open(source, **where)
    if encoder is None:
        if not find_encoders(opened.reader.names):
            raise NotACheckpointError(
                f"{opened.where} holds no encoder, found {list_names(opened.reader.names)}; pass encoder=, "
                "a release name or a file, to put this head on."
            )
        encoder = load_encoder(source, dtype=dtype, device=device, **where, **overrides)
    elif not isinstance(encoder, InternViT):
        encoder = load_encoder(encoder, dtype=dtype, device=device, token=token, cache_dir=cache_dir, **overrides)
    pooling, pool_dim, num_classes = _kind(opened, encoder.embed_dim)
    pool_heads = encoder.num_heads if attn_pool_num_heads is None else attn_pool_num_heads
    if attn_pool_num_heads is None and pooling == "clip_projector":
        pool_heads = _CLIP_PROJECTOR_HEADS.get(encoder.embed_dim, encoder.num_heads)
    with building("meta", torch.float32):
        classifier = InternViTClassifier(
            encoder, pooling, pool_heads=pool_heads, pool_dim=pool_dim, num_classes=num_classes
        )
    classifier.load_state_dict(_read(opened, classifier, device), strict=False, assign=True)
    return classifier.eval()


def read_head(classifier: TokenClassifier, source: str | os.PathLike[str]) -> None:
    """Copy an official classification head into one that is there.

    Args:
        classifier: Of the pooling and classes that the file holds.
        source: As in :func:`load_classifier`; an encoder in it is left out.

    Raises:
        CheckpointError: A subclass says what is wrong; nothing was read.
    """
    opened = _open(source)
    _kind(opened, classifier.embed_dim)
    classifier.load_state_dict(_read(opened, classifier, "cpu"), strict=False)


def _read(opened: Source, classifier: TokenClassifier, device: torch.device | str) -> dict[str, Tensor]:
    """All tensors of a classifier but its encoder's, in fp32."""
    wanted = {k: v for k, v in classifier.state_dict().items() if not k.startswith("encoder.")}
    used_parts = tuple(part for part in PARTS if any(name.startswith(part) for name in wanted))
    present = {name for name in opened.reader.names if name.startswith(used_parts)}
    if present != set(wanted):
        raise KeyMismatchError(
            f"{opened.where} does not fit a classifier with {classifier.pooling}. "
            f"It lacks {list_names(wanted.keys() - present) or 'nothing'}; "
            f"it has too many: {list_names(present - wanted.keys()) or 'none'}."
        )
    state: dict[str, Tensor] = {}
    for name, want in wanted.items():
        if opened.reader.shape(name) != tuple(want.shape):
            raise ShapeMismatchError(
                f"{opened.where}: {name} is {opened.reader.shape(name)}, expected {tuple(want.shape)}."
            )
        if want.is_floating_point():
            check_dtype(name, opened.reader.dtype(name), opened.where)
        state[name] = opened.reader.read(name).to(device, want.dtype, copy=True)
    check_weights(state.items(), opened.where)
    return state
