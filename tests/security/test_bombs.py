"""Small files that would keep whoever reads them busy, or waiting, without end."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from internvl_seg import CheckpointError, load_encoder
from internvl_seg.checkpoints import meta_config
from internvl_seg.checkpoints.reading import open_file, read_pickle
from internvl_seg.checkpoints.shards import ShardedReader
from internvl_seg.checkpoints.told import read_own
from internvl_seg.common.small_files import TooLargeError, read_small
from internvl_seg.data.folder_lock import _read as _read_lock
from internvl_seg.inference.dataset_meta import read_dataset_meta
from internvl_seg.inference.run_folder import ResultsError, take_up
from internvl_seg.probing.errors import StateError, StoreError
from internvl_seg.probing.scored import Scored
from internvl_seg.probing.store_check import read_manifest
from internvl_seg.training.checkpoint_fields import damaged
from internvl_seg.training.class_names_hook import ClassNamesHook
from internvl_seg.training.last_checkpoint import find_last_checkpoint
from internvl_seg.training.same_run import Difference, refuse

from ..checkpoints.encoders import random_encoder


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if it takes longer."""

    def stop(*_: Any) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def unfolding(levels: int = 60) -> list[Any]:
    """A list of as many lists that is 2**levels values long when it is written out."""
    found: list[Any] = [0]
    for _ in range(levels):
        found = [found, found]
    return found


def unfolding_dict(levels: int = 60) -> dict[str, Any]:
    found: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        found = {"a": found, "b": found}
    return found


def deep(levels: int = 5000) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "own": lambda bomb: {"internvl_seg": {"num_heads": bomb}},
    "config": lambda bomb: {"meta": {"cfg": {"model": {"backbone": {"type": "InternViT", "arch": bomb}}}}},
    "hyper_parameters": lambda bomb: {"hyper_parameters": bomb},
    "optimizer": lambda bomb: {"optimizer": {"param_groups": bomb}},
}


@pytest.mark.parametrize(
    ("place", "read", "make", "new"),
    [
        ("own", load_encoder, unfolding, True),
        ("config", open_file, unfolding_dict, True),
        ("hyper_parameters", read_pickle, lambda: tuple(unfolding()), True),
        ("optimizer", read_pickle, unfolding, False),
    ],
)
def test_what_unfolds_without_end_is_refused_where_it_is_read(
    place: str, read: Callable[[Path], Any], make: Callable[[], Any], new: bool, tmp_path: Path
) -> None:
    content = {"state_dict": random_encoder().state_dict(), **PLACES[place](make())}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
    with within(60), pytest.raises(CheckpointError, match=r"x\.pth holds lists or dicts of more than 2,000,000"):
        read(tmp_path / "x.pth")


def test_what_is_too_deep_to_be_walked_through_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": random_encoder().state_dict(), "args": deep(300)}, tmp_path / "x.pth")
    for read in (open_file, read_pickle):
        with pytest.raises(CheckpointError, match="more than 200 deep within one another"):
            read(tmp_path / "x.pth")


def test_lists_that_are_shared_or_hold_themselves_are_no_bombs(tmp_path: Path) -> None:
    around: list[Any] = [0.9, 0.999]
    around.append(around)
    groups = [{"betas": around, "again": around} for _ in range(1000)]
    torch.save({"state_dict": random_encoder().state_dict(), "optimizer": groups}, tmp_path / "x.pth")
    assert load_encoder(tmp_path / "x.pth", num_heads=2).depth == 3
    assert len(read_pickle(tmp_path / "x.pth")["optimizer"]) == 1000


@pytest.mark.parametrize("make", [unfolding, unfolding_dict, deep])
def test_no_message_writes_out_more_than_it_shows(make: Callable[[], Any]) -> None:
    bomb = make()
    backbone = {"type": "InternViT", "arch": {"num_heads": bomb}}
    hook, dataset = ClassNamesHook(), SimpleNamespace(metainfo={"classes": ["a"]})
    runner: Any = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))
    runner.cfg, runner.logger = SimpleNamespace(filename="c.py", load_from="x.pth"), SimpleNamespace(warning=print)
    with within(20):
        for read in (
            lambda: read_own({"num_heads": bomb}, "x.pth"),
            lambda: meta_config.read_told({"meta": {"cfg": {"model": {"backbone": backbone}}}}, "backbone.", "x.pth"),
            lambda: read_dataset_meta({"dataset_meta": {"classes": [bomb]}}, "x.pth"),
            lambda: refuse("x.pth", [Difference("a", bomb, 1)]),
        ):
            with pytest.raises(CheckpointError, match=r"\.\.\.") as error:
                read()
            assert len(str(error.value)) < 1000
        assert len(str(damaged("x.pth", "meta.seed", bomb, "a number"))) < 500
        for kind in (bomb, "InternViT"):
            node = {"type": kind, "arch": bomb}
            meta_config.read_told({"meta": {"cfg": {"model": {"neck": node}}}}, "backbone.", "x.pth", by_name=True)
        hook.after_load_checkpoint(runner, {"meta": {"dataset_meta": {"classes": [bomb]}}})
        hook.before_test(runner)


KINDS_OF_ENDLESS: dict[str, Callable[[Path], None]] = {
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": lambda path: os.mkfifo(path),
}


def read_run(folder: Path) -> None:
    (folder / "areas.csv").write_text("file\n")
    take_up(folder / "areas.csv", ["file"], {"a": 1}, ["a"], resume=True, tell=print)


def read_beside_config(folder: Path) -> None:
    save_file({name: p.detach() for name, p in random_encoder().named_parameters()}, folder / "model.safetensors")
    load_encoder(folder, num_heads=2)


INDEX = "model.safetensors.index.json"
SMALL_FILES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "config.json": ("config.json", read_beside_config),
    "DeepSpeed's latest": ("latest", load_encoder),
    "an index": (INDEX, lambda folder: ShardedReader(folder / INDEX, Path)),
    "a checkpoint": ("x.pth", lambda folder: read_pickle(folder / "x.pth")),
    "last_checkpoint": ("last_checkpoint", find_last_checkpoint),
    "store.json": ("store.json", read_manifest),
    "results of heads": ("scored.json", lambda folder: Scored.read(folder / "scored.json", "study", [], 2)),
    "run.json": ("run.json", read_run),
}


@pytest.mark.parametrize("kind", KINDS_OF_ENDLESS)
@pytest.mark.parametrize("name", SMALL_FILES)
def test_devices_and_pipes_are_not_read(kind: str, name: str, tmp_path: Path) -> None:
    file, read = SMALL_FILES[name]
    KINDS_OF_ENDLESS[kind](tmp_path / file)
    known = (CheckpointError, StoreError, StateError, ResultsError)
    with within(20), pytest.raises(known, match=r"latest|a pipe or a device|no regular file"):
        read(tmp_path)


def test_a_lock_that_is_a_pipe_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "record")
    with within(20):
        assert _read_lock(tmp_path / "record") == {}


def test_a_small_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([1, 2]))
    assert read_small(path, 6) == b"[1, 2]"
    with pytest.raises(TooLargeError, match="it has 6 bytes"):
        read_small(path, 5)
    with pytest.raises(IsADirectoryError):
        read_small(tmp_path, 5)
    with pytest.raises(FileNotFoundError):
        read_small(tmp_path / "b.json", 5)
    with pytest.raises(TooLargeError, match="it has more than 10 bytes"):  # Its size is 0.
        read_small("/proc/self/status", 10)
