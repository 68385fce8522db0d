"""Whether a feature store holds what its manifest says: it may come from elsewhere, so it is data to be looked at."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open

from ..common.finite import describe_non_finite, is_finite
from ..common.small_files import read_small
from .errors import StoreError
from .values import is_number, is_whole

# Bytes of JSON, and of names and shapes, above which a file is no store's: parsed they take many times as much.
_MOST_JSON = 16 << 20
_MOST_HEADER = 32 << 20
# Images and shards of a store, at most: a list of them fits into memory.
_MOST_IMAGES = 1 << 26
_MOST_SHARDS = 1 << 20
# Height and width of an image, at most.
_MOST_PIXELS = 1 << 20
_FLOATS = {"float32": "F32", "bfloat16": "BF16", "int8": "I8"}
_NAME = re.compile(r"(0|[1-9]\d*)\.(label|block(?:0|[1-9]\d*)(?:\.scale)?)")


class Manifest(NamedTuple):
    """What a ``store.json`` says.

    Attributes:
        key: What the store is made of.
        images: Number of images.
        per_shard: Images in a shard.
    """

    key: Mapping[str, Any]
    images: int
    per_shard: int


def read_json(path: Path, most: int = _MOST_JSON) -> Any:
    """Read a small JSON file.

    Raises:
        ValueError: It is no regular file, too large, too deep or no JSON.
        OSError: It cannot be read.
    """
    if not path.is_file():
        raise ValueError("it is not there, or no regular file")
    try:
        return json.loads(read_small(path, most).decode())
    except RecursionError as error:
        raise ValueError("it is too deeply nested") from error


def read_manifest(folder: Path) -> Manifest:
    """Read and check a store's ``store.json``.

    Raises:
        StoreError: It is not there, no JSON, or says what cannot be.
    """
    try:
        found = read_json(folder / "store.json")
        if not isinstance(found, dict) or not isinstance(key := found.get("key"), dict):
            raise ValueError("it has no dict under 'key'")
        if key.get("dtype") not in tuple(_FLOATS):
            raise ValueError(f"key.dtype is {str(key.get('dtype'))[:80]!r}, expected one of {', '.join(_FLOATS)}")
        numbers = []
        for name, most in (("images", _MOST_IMAGES), ("per_shard", _MOST_IMAGES)):
            value = found.get(name)
            if not is_whole(value) or not 1 <= value <= most:
                raise ValueError(f"{name} is {str(value)[:80]}, expected a whole number from 1 to {most:,}")
            numbers.append(value)
        images, per_shard = numbers
        if images > per_shard * _MOST_SHARDS:
            raise ValueError(f"{images:,} images, {per_shard} in a shard, are more than {_MOST_SHARDS:,} shards")
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{folder} is no feature store: store.json cannot be read ({error}). Remove the folder, or let "
            "probe.store.folder be another."
        ) from error
    return Manifest(key, images, per_shard)


def open_shard(path: Path, images: Sequence[int], key: Mapping[str, Any], *, whole: bool) -> tuple[Any, dict[str, Any]]:
    """Open a shard and check that it holds what the store's key says of it.

    Args:
        path: The file.
        images: The images that it is to hold.
        key: Of the store: its 'dtype', and 'blocks', 'embed_dim' and 'content' if they are there.
        whole: Whether to look for NaN and infinity, too, which reads every byte.

    Returns:
        The opened file, whose tensors are read when they are asked for, and the metadata by image.

    Raises:
        StoreError: It holds something else.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        with path.open("rb") as start:
            if (size := int.from_bytes(start.read(8), "little")) > _MOST_HEADER:
                raise ValueError(f"its header has {size:,} bytes")
        file = safe_open(path, "pt")
        _check_tensors(file, images, key)
        meta = _read_meta(file, images)
        for image in images:
            told = meta[str(image)]
            if key.get("windows") is not None and "size" not in told:
                raise ValueError(f"its metadata of image {image} lacks 'size'")
            _check_meta(told, file.get_slice(f"{image}.label").get_shape())
        if whole:
            _check_numbers(file, key["dtype"])
    except Exception as error:  # Whatever a damaged file leads to; safetensors has an error of its own for each.
        raise StoreError(
            f"{path} holds other features than {path.parent / 'store.json'} says: "
            f"{error if str(error) else type(error).__name__}. Remove the file: it is made again."
        ) from error
    return file, meta


def _check_tensors(file: Any, images: Sequence[int], key: Mapping[str, Any]) -> None:
    """Check names, dtypes and shapes, which stand in the header."""
    parts: dict[str, set[str]] = {}
    for name in file.keys():  # noqa: SIM118 - not a dict
        if not (match := _NAME.fullmatch(name)):
            raise ValueError(f"it has a tensor {name[:80]!r}")
        parts.setdefault(match[1], set()).add(match[2])
    if parts.keys() != {str(image) for image in images}:
        raise ValueError(f"it holds {len(parts)} images, expected {images[0]} to {images[-1]}")
    blocks = key.get("blocks")
    if blocks is None:
        blocks = sorted(int(part[5:]) for part in parts[str(images[0])] if part[5:].isdecimal())
    wanted = {"label"} | {f"block{block}" for block in blocks}
    if is_coded := key["dtype"] == "int8":
        wanted |= {f"block{block}.scale" for block in blocks}
    for image in images:
        if (found := parts[str(image)]) != wanted:
            raise ValueError(f"image {image} has {sorted(found)}, expected {sorted(wanted)}")
        shapes = []
        for block in blocks:
            one = file.get_slice(f"{image}.block{block}")
            shapes.append(shape := tuple(one.get_shape()))
            if one.get_dtype() != _FLOATS[key["dtype"]] or len(shape) != 4 or 0 in shape:
                raise ValueError(f"{image}.block{block} is {shape} {one.get_dtype()}")
            if shape[-1] != key.get("embed_dim", shape[-1]) or shape[:3] != shapes[0][:3]:
                raise ValueError(f"{image}.block{block} is {shape}, the encoder has {key.get('embed_dim')} channels")
            if key.get("content", "maps") != "maps" and shape[:2] != (1, 1):
                raise ValueError(f"{image}.block{block} is {shape}, expected vectors")
            if is_coded:
                scale = file.get_slice(f"{image}.block{block}.scale")
                if scale.get_dtype() != "F32" or tuple(scale.get_shape()) != shape[-1:]:
                    raise ValueError(f"{image}.block{block}.scale is {tuple(scale.get_shape())} {scale.get_dtype()}")
        label = file.get_slice(f"{image}.label")
        sides = 2 if key.get("content", "maps") == "maps" else 0
        if label.get_dtype() not in ("U8", "I32", "I64") or len(label.get_shape()) != sides or 0 in label.get_shape():
            raise ValueError(f"{image}.label is {tuple(label.get_shape())} {label.get_dtype()}")


def _read_meta(file: Any, images: Sequence[int]) -> dict[str, Any]:
    told = (file.metadata() or {}).get("meta")
    if told is None or len(told) > _MOST_JSON:
        raise ValueError("its metadata 'meta' is not there, or too long")
    meta = json.loads(told)
    if not isinstance(meta, dict) or any(not isinstance(meta.get(str(image)), dict) for image in images):
        raise ValueError("its metadata 'meta' lacks an image")
    return meta


def _check_meta(meta: Mapping[str, Any], label: Sequence[int]) -> None:
    """Check what became of an image: what is to be undone must lead to the size of its label."""
    for name in ("size", "ori_shape"):
        if name in meta:
            sides = meta[name]
            if not isinstance(sides, list) or not all(
                is_whole(side) and 1 <= side <= _MOST_PIXELS for side in sides[:2]
            ):
                raise ValueError(f"meta.{name} is {str(sides)[:80]}")
            if len(sides) < 2 or (name == "ori_shape" and "size" in meta and sides[:2] != list(label)):
                raise ValueError(f"meta.{name} is {sides}, but the label is {list(label)}")
    for name in ("img_padding_size", "padding_size"):
        if name in meta and not (isinstance(meta[name], list) and all(map(is_number, meta[name]))):
            raise ValueError(f"meta.{name} is {str(meta[name])[:80]}")


def _check_numbers(file: Any, dtype: str) -> None:
    for name in file.keys():  # noqa: SIM118 - not a dict
        is_feature = ".block" in name and not (dtype == "int8" and not name.endswith(".scale"))
        if is_feature and not is_finite(tensor := file.get_tensor(name)):
            raise ValueError(f"{name}: {describe_non_finite(tensor)}")


def read_seconds(path: Path) -> float:
    """The number in a ``seconds.json``; 0 if there is none.

    Raises:
        StoreError: It holds something else.
    """
    if not path.exists():
        return 0.0
    try:
        seconds = read_json(path, 1 << 10)
        if not is_number(seconds) or not 0 <= seconds < math.inf:
            raise ValueError(f"it holds {str(seconds)[:80]}")
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} holds no number of seconds ({error}). Remove it.") from error
    return float(seconds)
