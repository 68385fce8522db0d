"""Stores from elsewhere are data: whatever their manifests and shards hold ends in a StoreError, early."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from internvl_seg.probing.errors import StoreError, StoreMismatchError
from internvl_seg.probing.feature_store import FeatureStore

from ..error_table import DocumentedError
from .test_feature_store import KEY, make

DEEP = "[" * 100_000 + "]" * 100_000


def write_manifest(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "store.json").write_text(text)


def manifest(**fields: Any) -> str:
    return json.dumps({"key": KEY, "images": 5, "per_shard": 2} | fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[1, 2]",
        DEEP,
        '{"key": ' + DEEP + "}",
        manifest(key=None),
        manifest(key={"dtype": "float64"}),
        manifest(key={"dtype": ["float32"]}),
        *(manifest(images=value) for value in (0, -5, 10**9, 10**30, float("nan"), 1e3, "5", None, True, [5])),
        *(manifest(per_shard=value) for value in (0, -1, float("inf"), "2", None, 10**12)),
        manifest(images=50_000_000, per_shard=1),
    ],
    ids=lambda text: text[:40],
)
def test_a_manifest_that_says_what_cannot_be(tmp_path: Path, text: str) -> None:
    write_manifest(tmp_path / "store", text)
    with pytest.raises(StoreError, match=r"store\.json"):
        FeatureStore.open(tmp_path / "store", KEY)


def test_a_manifest_without_end(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    os.mkfifo(folder / "store.json")
    with pytest.raises(StoreError, match="no regular file"):
        FeatureStore.open(folder, KEY)
    (folder / "store.json").unlink()
    with (folder / "store.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(StoreError, match="1,073,741,824 bytes"):
        FeatureStore.open(folder, KEY)


def test_a_manifest_of_another_number_of_images(tmp_path: Path) -> None:
    store = make(tmp_path)
    write_manifest(store.folder, manifest(images=10_000))
    with pytest.raises(StoreMismatchError, match="the store has 10000, asked for is 5"):
        FeatureStore.at(tmp_path, "train", KEY, 5, 1)


def test_a_folder_of_stores_that_is_a_file(tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "features").write_text("")
    with documented_error("probe.store.folder is a file", StoreError):
        FeatureStore.at(tmp_path / "features", "train", KEY, 5, 1)


def tensors(first: int = 2, count: int = 2) -> dict[str, torch.Tensor]:
    found = {}
    for image in range(first, first + count):
        found |= {f"{image}.block{block}": torch.randn(2, 3, 4, 8) for block in (1, 5)}
        found[f"{image}.label"] = torch.zeros(6, 7, dtype=torch.uint8)
    return found


def plant(store: FeatureStore, content: bytes, stem: str = "view0-00001-") -> Path:
    """Put a shard in the place of the second, under the name that its bytes ask for."""
    for path in store.folder.glob(f"{stem}*"):
        path.unlink()
    path = store.folder / f"{stem}{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    path.write_bytes(content)
    return path


META = {"2": {"ori_shape": [6, 7]}, "3": {}}
Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def with_value(value: float) -> Change:
    def change(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found["3.block5"][0, 1, 2, 3] = value
        return found

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {}, "0 images, expected 2 to 3"),
        (lambda t: tensors(0), "2 images, expected 2 to 3"),
        (lambda t: tensors(2, 1), "1 images, expected 2 to 3"),
        (lambda t: t | {"__class__": torch.zeros(1)}, "it has a tensor '__class__'"),
        (lambda t: t | {"02.label": torch.zeros(1)}, r"it has a tensor '02\.label'"),
        (lambda t: {k: v for k, v in t.items() if k != "3.block5"}, "image 3 has"),
        (lambda t: t | {"3.block5": torch.zeros(3, 4, 8)}, r"3\.block5 is \(3, 4, 8\)"),
        (lambda t: t | {"3.block5": torch.zeros(2, 3, 5, 8)}, r"3\.block5 is \(2, 3, 5, 8\)"),
        (lambda t: t | {"3.block5": torch.zeros(2, 3, 4, 0)}, r"3\.block5 is \(2, 3, 4, 0\)"),
        (lambda t: t | {"3.block5": torch.zeros(2, 3, 4, 8).double()}, "F64"),
        (lambda t: t | {"2.label": torch.zeros(6, 7)}, r"2\.label is \(6, 7\) F32"),
        (lambda t: t | {"2.label": torch.zeros(6, dtype=torch.uint8)}, r"2\.label is \(6,\)"),
        (with_value(float("nan")), r"3\.block5: 1 of 192 values are NaN or infinite, the first at \(0, 1, 2, 3\)"),
        (with_value(float("inf")), "NaN or infinite"),
    ],
)
def test_a_shard_of_other_content(tmp_path: Path, change: Change, message: str) -> None:
    store = make(tmp_path)
    path = plant(store, save(change(tensors()), {"meta": json.dumps(META)}))
    with pytest.raises(StoreError, match=message) as caught:
        store.missing(1)
    assert str(path) in str(caught.value)
    with pytest.raises(StoreError):  # Whoever reads it without looking for what is missing.
        FeatureStore.open(store.folder, KEY).read(0, 3, [5])


@pytest.mark.parametrize(
    "meta",
    [
        None,
        "",
        "{",
        DEEP,
        "[]",
        json.dumps({"2": {}}),
        json.dumps({"2": {}, "3": []}),
        json.dumps({"2": {}, "3": {"size": [10**9, 10**9]}}),
        json.dumps({"2": {}, "3": {"size": "large"}}),
        json.dumps({"2": {}, "3": {"size": [28, 42], "ori_shape": [60_000, 60_000]}}),
        json.dumps({"2": {}, "3": {"padding_size": None}}),
    ],
    ids=lambda meta: str(meta)[:30],
)
def test_a_shard_of_other_metadata(tmp_path: Path, meta: str | None) -> None:
    store = make(tmp_path)
    plant(store, save(tensors(), None if meta is None else {"meta": meta}))
    with pytest.raises(StoreError, match=r"view0-00001-.*holds other features.*Remove the file"):
        store.missing(1)


def test_channels_are_those_of_the_encoder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the encoder has 16 channels"):
        make(tmp_path, embed_dim=16).missing(1)
    with pytest.raises(StoreError, match=r"image 0 has .*block5.*expected .*block1"):
        make(tmp_path, blocks=[1]).missing(1)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 100, b"{}" * 50, (1 << 40).to_bytes(8, "little") * 9])
def test_a_shard_that_is_garbage(tmp_path: Path, content: bytes) -> None:
    store = make(tmp_path)
    plant(store, content)
    with pytest.raises(StoreError, match="Remove the file"):
        store.missing(1)


def test_what_is_no_file_is_no_shard(tmp_path: Path) -> None:
    store = make(tmp_path)
    (path,) = store.folder.glob("view0-00001-*")
    path.unlink()
    os.mkfifo(path)
    assert [shard.number for shard in store.missing(1)] == [1]
    assert not path.exists()
    path.mkdir()
    with pytest.raises(StoreError, match="is a folder"):
        store.missing(1)


def test_a_shard_that_vanishes_while_it_is_needed(tmp_path: Path, documented_error: DocumentedError) -> None:
    store = make(tmp_path)
    assert not store.missing(1)
    next(store.folder.glob("view0-00001-*")).unlink()
    with documented_error("a shard is removed while a study runs", StoreError):
        store.read(0, 2, [1])


@pytest.mark.parametrize("text", ["", "{", '"1"', "NaN", "-1", "1e999", "true", DEEP, "[1]"], ids=lambda text: text[:9])
def test_seconds_that_are_no_number(tmp_path: Path, text: str) -> None:
    store = make(tmp_path)
    (store.folder / "seconds.json").write_text(text)
    with pytest.raises(StoreError, match=r"seconds\.json holds no number of seconds"):
        store.add_seconds(1.0)
