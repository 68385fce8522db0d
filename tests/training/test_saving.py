"""What a checkpoint holds is plain data, and it is read back before it counts."""

import resource
from collections import Counter, OrderedDict
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.training import saving
from internvl_seg.training.saving import CheckpointNotWrittenError, plain, write_checkpoint

from ..error_table import DocumentedError


class Kind(Enum):
    SMALL = "small"


class Text(str):
    """A text of a class of its own."""


def test_plain_values_are_what_they_stand_for(tmp_path: Path) -> None:
    values = {
        "nested": ConfigDict({"class": {"if": [1, (2.5, None)]}}),
        "numpy": [np.uint8(3), np.bool_(True), np.arange(2, dtype=np.int16), np.array("a"), np.float16(0.5)],
        "others": (Kind.SMALL, Path("a/b"), Text("c"), {1, 2}, frozenset({3}), torch.float16, torch.Size([1])),
        "counts": Counter("aab"),
        "ordered": OrderedDict(a=nn.Parameter(torch.ones(2)), b=np.float64(1)),
    }
    write_checkpoint(tmp_path / "a.pth", plain(values))
    found = read_pickle(tmp_path / "a.pth")
    assert found["nested"] == {"class": {"if": [1, (2.5, None)]}}
    assert found["numpy"] == [3, True, [0, 1], "a", 0.5]
    assert found["others"] == ("small", "a/b", "c", {1, 2}, {3}, torch.float16, torch.Size([1]))
    assert found["counts"] == Counter("aab")
    assert found["counts"]["d"] == 0
    assert torch.equal(found["ordered"]["a"], torch.ones(2))
    assert type(found["nested"]) is dict
    assert type(found["ordered"]["a"]) is torch.Tensor


@pytest.mark.parametrize("value", [lambda: 0, Kind, object(), np.array([object()])])
def test_other_values_are_refused_where_they_stand(value: Any) -> None:
    with pytest.raises(CheckpointNotWrittenError, match=r"^meta\.facts\[1\]\.inner"):
        plain({"meta": {"facts": [0, {"inner": value}]}})


def test_the_refusal_says_what_to_do(documented_error: DocumentedError) -> None:
    with documented_error("a checkpoint is to hold what could not be read back", CheckpointNotWrittenError):
        plain({"meta": {"dataset_meta": {"reader": ConfigDict}}})


def test_what_is_not_read_back_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "a.pth", {"state": {"w": torch.ones(2, 3)}, "meta": {"iter": 1}})
    real = torch.save
    damages = (
        {"state": {"w": torch.ones(3, 2)}, "meta": {"iter": 2}},
        {"state": {"w": torch.ones(2, 3).double()}, "meta": {"iter": 2}},
        {"state": {"v": torch.ones(2, 3)}, "meta": {"iter": 2}},
        {"state": {"w": torch.ones(2, 3)}, "meta": {"iter": 3}},
        {"state": {"w": torch.ones(2, 3)}, "meta": {"iter": Kind.SMALL}},
    )
    for damage in damages:
        monkeypatch.setattr(saving.torch, "save", lambda _, file, damage=damage: real(damage, file))
        with pytest.raises(CheckpointNotWrittenError, match="could not be written"):
            write_checkpoint(tmp_path / "a.pth", {"state": {"w": torch.ones(2, 3)}, "meta": {"iter": 2}})
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
    assert read_pickle(tmp_path / "a.pth")["meta"]["iter"] == 1


def test_a_file_that_is_cut_off_leaves_the_last_whole_one(tmp_path: Path, documented_error: DocumentedError) -> None:
    write_checkpoint(tmp_path / "a.pth", {"w": torch.ones(1000)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(CheckpointNotWrittenError):
            write_checkpoint(tmp_path / "a.pth", {"w": torch.zeros(1 << 20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
    assert torch.equal(read_pickle(tmp_path / "a.pth")["w"], torch.ones(1000))
    (tmp_path / "file").write_text("")
    with documented_error("a checkpoint cannot be written", CheckpointNotWrittenError):
        write_checkpoint(tmp_path / "file" / "iter_2.pth", {"w": torch.ones(1)})


def test_a_full_disk_keeps_the_last_whole_one(small_disk: Path) -> None:
    write_checkpoint(small_disk / "iter_2.pth", {"w": torch.ones(1 << 16)})
    for size in (1 << 18, 196_000):
        with pytest.raises(CheckpointNotWrittenError, match="No space left on device"):
            write_checkpoint(small_disk / "iter_4.pth", {"w": torch.ones(size)})
        assert [path.name for path in small_disk.iterdir()] == ["iter_2.pth"]
