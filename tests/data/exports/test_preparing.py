"""A folder is whole or can be gone on with, and the source stays as it was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from internvl_seg.data.exports import preparing
from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.preparation import FILE
from internvl_seg.data.exports.reporting import report, write_report
from internvl_seg.data.folder_lock import FolderInUseError, locked_folder

from ...rasters import write_raster
from .formats.test_labelme import record, shape
from .making import picture, written
from .prepared import SIZE, folder, make, masks, names, random_ids, save


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its time."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_pictures_are_copied_byte_for_byte_and_the_source_stays(tmp_path: Path) -> None:
    ids = folder(tmp_path / "in")
    before = contents(tmp_path / "in")
    prepared = make(tmp_path / "in", tmp_path / "out", shares=(0.5, 0.25, 0.25))
    assert contents(tmp_path / "in") == before
    found = masks(tmp_path / "out")
    assert {name.split("/")[0] for name in found} == {"train", "val", "test"}
    for name, mask in found.items():
        stem = name.split("/")[1]
        np.testing.assert_array_equal(mask, ids[stem])
        assert (tmp_path / f"out/images/{name}.png").read_bytes() == before[f"images/{stem}.png"][0]
    content = report(prepared)
    for one in content["classes"]:
        assert sum(one["pixels"].values()) == sum(int((mask == one["id"]).sum()) for mask in ids.values())


def test_a_second_run_writes_nothing_anew_and_a_changed_picture_again(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    make(tmp_path / "in", tmp_path / "out")
    before = {name: kept for name, kept in contents(tmp_path / "out").items() if name.endswith(".png")}
    again = make(tmp_path / "in", tmp_path / "out")
    assert again.new == 0
    assert {name: kept for name, kept in contents(tmp_path / "out").items() if name.endswith(".png")} == before
    save(tmp_path / "in/masks/p1.png", np.zeros(SIZE, np.uint8))
    (tmp_path / "in/images/p2.png").unlink()
    (tmp_path / "out/annotations/train/p3.png").write_bytes(b"")
    last = make(tmp_path / "in", tmp_path / "out")
    assert last.new == 2
    assert last.removed == 1
    found = masks(tmp_path / "out")
    assert (found["train/p1"] == 0).all()
    assert "train/p2" not in found
    assert any("1 file of an earlier run was removed" in note for note in report(last)["notes"])


def test_other_options_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    make(tmp_path / "in", tmp_path / "out")
    with pytest.raises(SourceError, match=r"was prepared otherwise: tile was None and is 32"):
        make(tmp_path / "in", tmp_path / "out", tile=32)
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(SourceError, match=r"was prepared otherwise: classes was"):
        make(tmp_path / "in", tmp_path / "out", classes=tmp_path / "names.txt")


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").touch()
    with pytest.raises(SourceError, match=r"holds notes\.txt and 0 more, which were not prepared here"):
        make(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("out", ["in", "in/out", "."])
def test_a_folder_in_the_source_or_around_it_is_refused(tmp_path: Path, out: str) -> None:
    folder(tmp_path / "in")
    with pytest.raises(SourceError, match="the source is never changed"):
        make(tmp_path / "in", tmp_path / out)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    with locked_folder(tmp_path / "out", "another"), pytest.raises(FolderInUseError, match="in use by another"):
        make(tmp_path / "in", tmp_path / "out")


def test_a_killed_run_is_gone_on_with(tmp_path: Path) -> None:
    """The process is killed when some pictures are there; what is there is whole, and the next run does the rest."""
    ids = folder(tmp_path / "in", 40, (300, 300))
    code = (
        "import sys, pathlib; from tests.data.exports.prepared import make; "
        "make(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), tile=128, keep_empty=1.0)"
    )
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "in", tmp_path / "out"], cwd=root)
    annotations = tmp_path / "out/annotations/train"
    until = time.monotonic() + 120
    while not (annotations.is_dir() and len(list(annotations.glob("*.png"))) > 20):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for path in (tmp_path / "out").rglob("[!.]*.png"):
        Image.open(path).load()
    prepared = make(tmp_path / "in", tmp_path / "out", tile=128, keep_empty=1.0)
    assert 0 < prepared.new < 360
    found = masks(tmp_path / "out")
    assert len(found) == 360
    for name, mask in found.items():
        stem, top, left = name.split("/")[1].split("_")
        np.testing.assert_array_equal(mask, ids[stem][int(top[1:]) :, int(left[1:]) :][:128, :128])
    hidden = [path.name for path in (tmp_path / "out").rglob(".*") if path.name not in (".lock", ".lease")]
    assert not hidden
    assert not make(tmp_path / "in", tmp_path / "out", tile=128, keep_empty=1.0).new


def test_a_list_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    make(tmp_path / "in", tmp_path / "out")
    text = (tmp_path / "out" / FILE).read_text()
    (tmp_path / "out" / FILE).write_text(text[:-30])
    assert make(tmp_path / "in", tmp_path / "out").new == 1


def raster(path: Path, pixels: np.ndarray, **profile: object) -> None:  # type: ignore[type-arg]
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {"driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype, "crs": "EPSG:32633"}
    given |= {"height": pixels.shape[1], "width": pixels.shape[2], "transform": from_origin(4e5, 5.8e6, 0.2, 0.2)}
    with rasterio.open(path, "w", **{**given, **profile}) as data:
        data.write(pixels)


def test_empty_tiles_are_left_out_by_share_and_what_has_no_data_always(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("background\nroof\n")
    pixels = np.full((4, 640, 640), 700, np.uint16)
    pixels[:, :64] = 0
    ids = np.zeros((640, 640), np.uint8)
    ids[600:, :32] = 1
    raster(tmp_path / "in/images/a.tif", pixels, nodata=0)
    raster(tmp_path / "in/masks/a.tif", ids[None])
    for share, most in ((0.0, 1), (0.5, 75), (1.0, 90)):
        out = tmp_path / f"out{share}"
        prepared = make(tmp_path / "in", out, classes=tmp_path / "names.txt", tile=64, keep_empty=share)
        left = report(prepared)["tiles_left_out"]
        assert left["no data"] == 10
        kept = sum(one.empty is None for one in prepared.written)
        assert kept + sum(left.values()) == 100
        assert kept <= most
        assert kept > (most // 3 if share else 0)
        for one in prepared.written:
            if one.empty is None:
                with rasterio.open(one.files(out)[0]) as tile:
                    assert (tile.count, tile.dtypes[0], tile.crs) == (4, "uint16", "EPSG:32633")


@pytest.mark.parametrize("tile", [64, None])
def test_unlabelled_pixels_without_data_are_ignored(tmp_path: Path, tile: int | None) -> None:
    pixels = np.full((3, 100, 100), 9, np.uint8)
    pixels[:, :10] = 0
    colours = np.zeros((100, 100, 3), np.uint8)
    colours[5:15] = (255, 0, 0)
    raster(tmp_path / "in/images/a.tif", pixels, nodata=0)
    raster(tmp_path / "in/masks/a.tif", np.moveaxis(colours, -1, 0))
    (tmp_path / "in/classes.txt").write_text("void #000000\nroof #ff0000\n")
    make(tmp_path / "in", tmp_path / "out", tile=tile, unlabelled="background", keep_empty=1.0)
    (found, *_) = masks(tmp_path / "out").values()
    assert (found[:5] == 255).all()
    assert (found[5:15] == 1).all()
    assert (found[15:] == 0).all()


def test_equal_stems_get_names_apart(tmp_path: Path) -> None:
    for site in ("north", "south"):
        save(tmp_path / f"in/images/{site}/a.png", 0)
        save(tmp_path / f"in/masks/{site}/a.png", random_ids(0, 3))
    make(tmp_path / "in", tmp_path / "out")
    assert list(masks(tmp_path / "out")) == ["train/north_a", "train/south_a"]


def test_pictures_that_training_does_not_read_are_converted(tmp_path: Path) -> None:
    ids = random_ids(0, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    save(tmp_path / "in/images/a.ppm", pixels)
    save(tmp_path / "in/masks/a.png", ids)
    prepared = make(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/images/train/a.png")), pixels)
    assert any("1 picture was written anew without loss" in note for note in report(prepared)["notes"])


@pytest.mark.parametrize("kind", ["masks", "images"])
def test_a_damaged_picture_is_named_and_the_others_are_done(tmp_path: Path, kind: str) -> None:
    folder(tmp_path / "in", 3)
    (tmp_path / f"in/{kind}/p1.png").write_bytes((tmp_path / f"in/{kind}/p1.png").read_bytes()[:200])
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert list(prepared.failed) == ["images/p1"]
    assert "cannot be read" in prepared.failed["images/p1"]
    assert list(masks(tmp_path / "out")) == ["train/p0", "train/p2"]


def test_a_disk_that_fails_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 3)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preparing.shutil, "copyfile", full)
    with pytest.raises(OSError, match=r"No space left.*out/images/train/p0\.png"):
        make(tmp_path / "in", tmp_path / "out")


def test_what_claims_pixels_twice_and_a_set_without_training_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "in/val/a.jpg")
    boxes = [[[2, 2], [9, 2], [9, 9], [2, 9]], [[5, 2], [15, 2], [15, 9], [5, 9]]]
    written(tmp_path / "in/val/a.json", record([shape(name, box) for name, box in zip("ab", boxes, strict=True)]))
    prepared = make(tmp_path / "in", tmp_path / "out")
    claimed = sum(one.overlapped for one in prepared.written)
    assert claimed > 0
    notes = report(prepared)["notes"]
    assert f"{claimed} pixels are claimed by objects of different classes; the one drawn last has them." in notes
    assert any(note.startswith("No picture is for training, so nothing can be trained: --split") for note in notes)
    assert not any("No training picture has" in note for note in notes)


def test_the_report_is_json(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    prepared = make(tmp_path / "in", tmp_path / "out")
    assert json.loads(json.dumps(report(prepared)))["pictures"] == {"train": 3}
    assert names(prepared) == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("count", [3, 4])
def test_pictures_that_need_a_config_with_bands_are_told(count: int, tmp_path: Path) -> None:
    dtype = np.uint8 if count == 3 else np.uint16
    for i in range(2):
        colours = {"photometric": "RGB"} if count == 3 else {}
        write_raster(tmp_path / f"in/images/p{i}.tif", np.full((*SIZE, count), 9 + i, dtype), **colours)
        save(tmp_path / f"in/masks/p{i}.png", random_ids(i, 3, SIZE))
    told = [note for note in write_report(make(tmp_path / "in", tmp_path / "out"))["notes"] if "docs/bands.md" in note]
    if count == 3:
        assert not told
    else:
        assert told[0].startswith("p0.tif has 4 bands of 16 bits (uint16): training reads pictures of 8 bits")
