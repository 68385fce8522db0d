"""Pictures and tiles go into the splits that the source, lists, groups or shares say."""

from pathlib import Path

import numpy as np

from internvl_seg.data.exports.next_command import training_command
from internvl_seg.data.exports.reporting import report, write_report

from .prepared import folder, make, masks


def test_tiles_of_one_picture_are_in_one_split_unless_blocks_are(tmp_path: Path) -> None:
    folder(tmp_path / "in", 8, (200, 260))
    prepared = make(tmp_path / "in", tmp_path / "out", tile=64, overlap=16, shares=(0.5, 0.25, 0.25))
    of = {}
    for one in prepared.written:
        assert of.setdefault(one.source, one.split) == one.split
    assert set(of.values()) == {"train", "val", "test"}
    prepared = make(
        tmp_path / "in",
        tmp_path / "blocks",
        tile=64,
        overlap=16,
        shares=(0.5, 0.25, 0.25),
        by_blocks=True,
        keep_empty=1.0,
    )
    seen = {split: np.zeros((8, 200, 260), bool) for split in ("train", "val", "test")}
    for one in prepared.written:
        top, left = (int(part[1:]) for part in one.name.split("_")[-2:])
        seen[one.split][int(one.source[-1]), top : top + 64, left : left + 64] = True
    assert (sum(mask.astype(int) for mask in seen.values()) == 1).all()


def test_groups_stay_together(tmp_path: Path) -> None:
    folder(tmp_path / "in", 9)
    for path in sorted((tmp_path / "in").rglob("p*.png")):
        path.rename(path.with_name(f"site{int(path.stem[1:]) // 3}_{path.name}"))
    prepared = make(tmp_path / "in", tmp_path / "out", group=r"site\d", shares=(0.4, 0.3, 0.3))
    of = {}
    for one in prepared.written:
        assert of.setdefault(one.name.split("_")[0], one.split) == one.split
    assert sorted(of.values()) == ["test", "train", "val"]


def test_splits_of_the_source_are_kept_unless_others_are_asked_for(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        folder(tmp_path / "in" / split, 3)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert set(masks(tmp_path / "out")) == {f"{split}/p{i}" for split in ("train", "val") for i in range(3)}
    assert prepared.plan.splits.how == "those of the source (train 3, val 3 pictures)"
    prepared = make(tmp_path / "in", tmp_path / "other", shares=(0.4, 0.3, 0.3))
    assert {one.split for one in prepared.written} == {"train", "val", "test"}
    assert any("are not kept" in note for note in prepared.plan.notes)


def test_lists_say_what_goes_where_and_the_rest_is_left_out(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    (tmp_path / "train.txt").write_text("p0\n")
    (tmp_path / "test.txt").write_text("p2.png\n")
    prepared = make(
        tmp_path / "in", tmp_path / "out", lists=(tmp_path / "train.txt", tmp_path / "test.txt"), shares=None
    )
    assert list(masks(tmp_path / "out")) == ["test/p2", "train/p0"]
    assert prepared.plan.left_out == {"images/p1": "it is in no split"}
    command = training_command(prepared)
    assert command is not None
    assert "val_dataloader.dataset.data_prefix.img_path=images/test" in command
    assert "default_hooks.checkpoint.save_best=None" in command
    assert any("the command validates on test" in note for note in report(prepared)["notes"])


def test_without_pictures_for_training_the_command_tests(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    for name in ("test", "val"):
        (tmp_path / f"{name}.txt").write_text("p0\np1\np2\n")
        lists = (tmp_path / f"{name}.txt",)
        content = write_report(make(tmp_path / "in", tmp_path / f"out_{name}", lists=lists, shares=None))
        assert content["train"] is None
        words = content["test"].split()
        assert words[:2] == ["python", "tools/test.py"]
        assert words[3] == "CHECKPOINT"
        assert (f"test_dataloader.dataset.data_prefix.img_path=images/{name}" in words) == (name == "val")
        assert sum("--split 0.8,0.1,0.1 draws other splits" in note for note in content["notes"]) == 1
        assert not any("No training picture has" in note for note in content["notes"])
        assert "images/train" not in (tmp_path / f"out_{name}/report.md").read_text()
