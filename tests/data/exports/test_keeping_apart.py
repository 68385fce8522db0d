"""What belongs together is in one split, or it is told; lists of names are read as people write them."""

import shlex
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.next_command import training_command
from internvl_seg.data.folder import FolderDataset
from internvl_seg.training.config import add_options, load_config

from .prepared import make, masks, names, random_ids, save

ROOT = Path(__file__).parents[3]


def copies(root: Path, count: int = 6) -> None:
    """As Roboflow's masks are, three of each picture."""
    for i in range(count):
        for turn in "xyz":
            save(root / f"train/p{i}_jpg.rf.{turn}.jpg", i)
            save(root / f"train/p{i}_jpg.rf.{turn}_mask.png", random_ids(i, 2))
    (root / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, car\n")


def test_copies_of_a_picture_are_not_parted_by_blocks(tmp_path: Path) -> None:
    copies(tmp_path / "in")
    shares: dict[str, Any] = {"by_blocks": True, "shares": (0.5, 0.5, 0.0), "keep_empty": 1.0}
    for tile in (64, 16):
        found: dict[str, set[str]] = {}
        make(tmp_path / "in", tmp_path / f"out{tile}", tile=tile, **shares)
        for name in masks(tmp_path / f"out{tile}"):
            split, _, picture = name.partition("/")
            found.setdefault(picture[:2], set()).add(split)
        assert {len(splits) for splits in found.values()} == {1}


@pytest.mark.parametrize("group", [None, r"p\d"])
def test_lists_that_part_copies_are_told(tmp_path: Path, group: str | None) -> None:
    copies(tmp_path / "in", 3)
    (tmp_path / "train.txt").write_text("p0_jpg.rf.x\np1_jpg.rf.x\n")
    (tmp_path / "val.txt").write_text("p0_jpg.rf.y\np2_jpg.rf.x\n")
    lists = (tmp_path / "train.txt", tmp_path / "val.txt")
    (note,) = make(tmp_path / "in", tmp_path / "out", lists=lists, group=group).plan.notes
    assert note.startswith(
        f"1 groups are in more than one of the lists' splits, the first is p0{'' if group else '_jpg'}"
    )


def test_lists_in_other_encodings_with_masks_behind_the_pictures(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / f"in/images/ä {i}.png", i)
        save(tmp_path / f"in/masks/ä {i}.png", random_ids(i, 2))
        save(tmp_path / f"in/images/b{i}.png", i)
        save(tmp_path / f"in/masks/b{i}.png", random_ids(i, 2))
    (tmp_path / "train.txt").write_bytes("ä 0.png\nä 1\n".encode("latin-1"))
    (tmp_path / "val.txt").write_text("/data/images/b0.png /data/masks/b0.png\nimages/b1.png,masks/b1.png\n")
    make(tmp_path / "in", tmp_path / "out", lists=(tmp_path / "train.txt", tmp_path / "val.txt"), shares=None)
    assert set(masks(tmp_path / "out")) == {"train/ä 0", "train/ä 1", "val/b0", "val/b1"}
    with pytest.raises(SourceError, match=r"gone_val\.txt cannot be read: No such file"):
        make(tmp_path / "in", tmp_path / "other", lists=(tmp_path / "gone_val.txt",), shares=None)


@pytest.mark.parametrize(
    ("out", "shares", "loaders"),
    [
        ("my out", (0.5, 0.5, 0.0), ("val", "val")),
        ("a, b [1]", (0.5, 0.0, 0.5), ("test", "test")),
        ("it's", (1.0, 0.0, 0.0), (None, None)),
        ("1e5", (0.4, 0.3, 0.3), ("val", "test")),
    ],
)
def test_the_command_survives_pasting(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    shares: tuple[float, float, float],
    loaders: tuple[str | None, str | None],
) -> None:
    for i in range(8):
        save(tmp_path / f"in/images/{i}.png", i)
        save(tmp_path / f"in/masks/{i}.png", random_ids(i, 2))
    monkeypatch.chdir(tmp_path)
    prepared = make(tmp_path / "in", Path(out), shares=shares)
    words = shlex.split(training_command(prepared) or "")
    parser = ArgumentParser()
    add_options(parser)
    config = load_config(ROOT / words[2], parser.parse_args(words[3:]).cfg_options)
    for name, split in (("train", "train"), ("val", loaders[0]), ("test", loaders[1])):
        loader = config[f"{name}_dataloader"]
        if split is None:
            assert loader is config[f"{name}_cfg"] is config[f"{name}_evaluator"] is None
            continue
        data = FolderDataset(**{key: value for key, value in loader.dataset.items() if key not in ("type", "pipeline")})
        assert len(data) == sum(one.split == split for one in prepared.written)
        assert list(data.metainfo["classes"]) == names(prepared)
