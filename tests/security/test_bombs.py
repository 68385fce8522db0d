"""Small files that would keep whoever reads them busy, or waiting, without end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from internvl_seg import CheckpointError, load_encoder
from internvl_seg.checkpoints import meta_config
from internvl_seg.checkpoints.reading import open_file, read_pickle
from internvl_seg.checkpoints.told import read_own
from internvl_seg.inference.dataset_meta import read_dataset_meta
from internvl_seg.training.checkpoint_fields import damaged
from internvl_seg.training.class_names_hook import ClassNamesHook
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
