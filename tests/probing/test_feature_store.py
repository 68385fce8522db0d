"""Stores on disk: what they hold, what they refuse, what they mend."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from internvl_seg.probing.errors import StoreError, StoreMismatchError, StoreSizeError
from internvl_seg.probing.feature_store import FeatureStore, Sample, check_room
from internvl_seg.probing.quantization import dequantize, quantize

from ..error_table import DocumentedError
from ..in_threads import in_threads

KEY = {"dtype": "float32", "encoder": "a", "transforms": [{"type": "RandomFlip"}]}


def samples(count: int, seed: int = 0) -> list[Sample]:
    draw = torch.Generator().manual_seed(seed)
    return [
        Sample(
            {b: torch.randn(2, 3, 4, 8, generator=draw) for b in (1, 5)},
            torch.randint(0, 255, (6, 7), generator=draw).to(torch.uint8),
            {"img_path": f"{i}.jpg", "ori_shape": [6, 7]},
        )
        for i in range(count)
    ]


def make(root: Path, images: int = 5, per_shard: int = 2, **key: Any) -> FeatureStore:
    whole = KEY | key
    store = FeatureStore.at(root, "train", whole, images, sample_bytes=(64 << 20) // per_shard)
    data = samples(images)
    for shard in store.missing(1):
        store.write(shard, [data[i] for i in shard.images])
    return store


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_what_is_written_is_read(tmp_path: Path, dtype: str) -> None:
    store = make(tmp_path, dtype=dtype)
    assert not store.missing(1)
    assert len(list(store.folder.glob("view0-*"))) == 3
    for i, wanted in enumerate(samples(5)):
        found = store.read(0, i, [5])
        assert found.features.keys() == {5}
        assert torch.equal(found.label, wanted.label)
        assert found.meta == wanted.meta
        atol = {"float32": 0, "bfloat16": 0.02, "int8": wanted.features[5].abs().max() / 253}[dtype]
        assert_close(found.features[5].float(), wanted.features[5], rtol=0, atol=float(atol))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_threads_that_read_it_get_what_one_gets(tmp_path: Path, dtype: str) -> None:
    made = make(tmp_path, images=12, dtype=dtype)
    wanted = [made.read(0, image, [1, 5]) for image in range(12)]
    opened = FeatureStore.open(made.folder, made.key)  # Its shards are not yet.
    for number, found in enumerate(in_threads(lambda image: opened.read(0, image, [1, 5]), [*range(12)] * 8)):
        want = wanted[number % 12]
        assert (found.meta, torch.equal(found.label, want.label)) == (want.meta, True)
        assert all(torch.equal(found.features[block], want.features[block]) for block in (1, 5))


def test_the_size_that_is_foretold_is_that_on_disk(tmp_path: Path) -> None:
    for dtype in ("float32", "bfloat16", "int8"):
        store = make(tmp_path, dtype=dtype)
        foretold = sum(sample.nbytes(dtype) for sample in samples(5))
        assert foretold < store.nbytes() < foretold + 5 * 600  # Names and meta.


def test_eight_bits_are_within_half_a_step_of_each_channel() -> None:
    features = torch.randn(3, 5, 6, 4) * torch.tensor([1e-3, 1.0, 50.0, 0.0])
    levels, scale = quantize(features)
    assert levels.dtype == torch.int8
    assert ((dequantize(levels, scale) - features).abs() <= features.abs().amax((0, 1, 2)) / 254 * 1.0001).all()


@pytest.mark.parametrize("harm", ["a flipped bit", "cut short", "removed", "misnamed"])
def test_only_the_broken_shard_is_made_again(tmp_path: Path, harm: str) -> None:
    store = make(tmp_path)
    files = sorted(store.folder.glob("view0-*"))
    before = {path.name: path.stat().st_mtime_ns for path in files}
    content = bytearray(files[1].read_bytes())
    content[-7] ^= 1
    if harm == "removed":
        files[1].unlink()
    elif harm == "misnamed":  # What is made again has another name than the file that was not right.
        files[1].rename(store.folder / f"view0-00001-{'0' * 16}.safetensors")
    else:
        files[1].write_bytes(content if harm == "a flipped bit" else content[:-20])
    again = make(tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in again.folder.glob("view0-*")}
    assert after.keys() == before.keys()  # The same bytes: the name holds their hash.
    assert [name for name in before if before[name] != after[name]] == [files[1].name]
    assert torch.equal(again.read(0, 2, [1]).features[1], samples(5)[2].features[1])


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    store = make(tmp_path)
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = store.folder / f".view0-00000-ab.{dead.pid}.tmp.safetensors"
    left.write_bytes(b"half")
    os.utime(left, (1e9, 1e9))  # Long ago.
    store.missing(1)
    assert not left.exists()


def test_several_fill_one_store_at_once(tmp_path: Path) -> None:
    """Both find the same missing and damaged shards; the features of the second differ in the last bits."""
    make(tmp_path)
    (folder,) = tmp_path.iterdir()
    broken = sorted(folder.glob("view0-*"))[1]
    broken.write_bytes(b"broken")
    first, second = (FeatureStore.at(tmp_path, "train", KEY, 5, 1) for _ in range(2))
    assert (
        first.missing(2)
        == second.missing(2)
        == [shard for shard in first.shards(2) if (shard.view, shard.number) in ((0, 1), (1, 0), (1, 1), (1, 2))]
    )
    for store, seed in ((first, 1), (second, 2), (first, 3)):
        data = samples(5, seed)
        for shard in first.shards(2):
            if shard.view == 1:
                store.write(shard, [data[i] for i in shard.images])
    data = samples(5)
    for store in (first, second):
        store.write(list(store.shards(1))[1], [data[i] for i in (2, 3)])
    assert len(list(folder.glob("view1-*"))) == 3 * 3
    read = []
    for _ in range(2):
        store = FeatureStore.at(tmp_path, "train", KEY, 5, 1)
        assert not store.missing(2)
        read.append(store.read(1, 4, [1]).features[1])
    assert torch.equal(*read)
    assert torch.equal(second.read(0, 2, [1]).features[1], data[2].features[1])


def test_a_store_of_more_shards_than_five_digits(tmp_path: Path) -> None:
    store = FeatureStore.at(tmp_path, "train", KEY, 100_001, 64 << 20)
    shard = list(store.shards(1))[-1]
    store.write(shard, samples(1))
    assert shard not in store.missing(1)
    assert torch.equal(store.read(0, 100_000, [1]).features[1], samples(1)[0].features[1])


def test_views_are_added_to_a_store(tmp_path: Path) -> None:
    store = make(tmp_path)
    missing = store.missing(3)
    assert [(shard.view, shard.number) for shard in missing] == [(v, n) for v in (1, 2) for n in range(3)]
    data = samples(5, seed=1)
    for shard in missing:
        store.write(shard, [data[i] for i in shard.images])
    assert not FeatureStore.at(tmp_path, "train", KEY, 5, 1).missing(3)
    assert torch.equal(store.read(2, 4, [1]).features[1], data[4].features[1])


def test_another_key_is_another_store(tmp_path: Path) -> None:
    assert make(tmp_path).folder != make(tmp_path, encoder="b").folder


def test_a_store_of_other_features_is_refused(tmp_path: Path, documented_error: DocumentedError) -> None:
    store = make(tmp_path)
    with documented_error("a feature store of another encoder", StoreMismatchError):
        FeatureStore.open(store.folder.rename(tmp_path / "store"), KEY | {"encoder": "b"})


def test_a_store_without_manifest(tmp_path: Path, documented_error: DocumentedError) -> None:
    store = make(tmp_path)
    folder = store.folder.rename(tmp_path / "store")
    (folder / "store.json").write_text("{")
    with documented_error("a feature store whose manifest is broken", StoreError):
        FeatureStore.open(folder, KEY)


def test_a_disk_without_room_is_refused_beforehand(small_disk: Path) -> None:
    store = FeatureStore.at(small_disk, "train", KEY, 5, 1000)
    with pytest.raises(StoreSizeError, match=r"needs 5e-06 GB more .* --stream"):
        check_room({store: (store.missing(1), 1000)})


def test_a_disk_that_fills_up_keeps_what_is_whole(small_disk: Path) -> None:
    images = 3000
    store = FeatureStore.at(small_disk, "train", KEY, images, (64 << 20) // 100)
    data = samples(images)

    def write_all() -> None:
        for shard in store.missing(1):
            store.write(shard, [data[i] for i in shard.images])

    with pytest.raises(StoreError, match=r"No space left on device.*What was written before stays"):
        write_all()
    there = sorted(small_disk.rglob("view0-*"))
    assert 0 < len(there) < 30
    assert not [path for path in small_disk.rglob("*") if ".tmp" in path.name]
    assert len(store.missing(1)) == 30 - len(there)
