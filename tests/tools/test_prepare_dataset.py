"""The command as a user types it."""

import json
import shlex
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from internvl_seg.data.folder import FolderDataset
from internvl_seg.training.config import load_config

from ..commands import run_command

ROOT = Path(__file__).resolve().parents[2]
COLOURS = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 0]], np.uint8)


def aerial(root: Path, count: int = 5, side: int = 160) -> None:
    """GeoTIFFs with masks in colours."""
    rng = np.random.default_rng(0)
    for i in range(count):
        ids = np.kron(rng.integers(0, 3, (side // 20, side // 20)), np.ones((20, 20), int))
        picture = COLOURS[ids] // 2 + rng.integers(0, 60, (side, side, 3), dtype=np.uint8)
        place = {"crs": "EPSG:32633", "transform": from_origin(5e5 + i * side, 5.8e6, 1, 1)}
        profile = {"driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8", **place}
        for kind, pixels in (("images", picture), ("labels", COLOURS[ids])):
            (root / kind).mkdir(parents=True, exist_ok=True)
            with rasterio.open(root / kind / f"site{i}.tif", "w", **profile) as data:
                data.write(np.moveaxis(pixels, -1, 0))


def test_rasters_with_masks_in_colours(tmp_path: Path) -> None:
    aerial(tmp_path / "aerial")
    (tmp_path / "classes.txt").write_text("road #ffffff\nroof #0000ff\ntree #00ff00\n")
    command = ["aerial", "out", "--tile", "64", "--overlap", "8"]
    asks = run_command("prepare_dataset.py", *command, cwd=tmp_path)
    assert asks.returncode == 1
    assert "Which colour is which class?" in asks.stderr
    assert not (tmp_path / "out").exists()
    command += ["--classes", "classes.txt"]
    done = run_command("prepare_dataset.py", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "aerial is read as colour_masks: 5 pictures have masks in colours" in " ".join(done.stdout.split())
    assert "45 pictures in out (45 new)" in done.stdout
    content = json.loads((tmp_path / "out/report.json").read_text())
    assert set(content["pictures"]) == {"train", "val", "test"}
    assert sum(content["pictures"].values()) == 45
    with Image.open(tmp_path / "out/contact_sheet.jpg") as sheet:
        assert sheet.width > 1000
    assert "| 1 | roof | #0000ff |" in (tmp_path / "out/report.md").read_text()
    again = run_command("prepare_dataset.py", *command, cwd=tmp_path)
    assert "45 pictures in out (0 new)" in again.stdout
    other = run_command("prepare_dataset.py", *command, "--keep-empty", "1", cwd=tmp_path)
    assert other.returncode == 1
    assert "was prepared otherwise: keep_empty was 0.1 and is 1.0" in other.stderr


def test_the_command_that_trains_finds_the_data(tmp_path: Path) -> None:
    aerial(tmp_path / "aerial")
    (tmp_path / "aerial/classes.txt").write_text("road #ffffff\nroof #0000ff\ntree #00ff00\n")
    done = run_command("prepare_dataset.py", tmp_path / "aerial", tmp_path / "out", "--tile", "64")
    assert done.returncode == 0, done.stderr
    line = json.loads((tmp_path / "out/report.json").read_text())["train"]
    assert line in done.stdout
    words = shlex.split(line)
    assert words[:2] == ["python", "tools/train.py"]
    options = dict(word.split("=", 1) for word in words[4:])
    config = load_config(ROOT / words[2], {key: int(v) if v.isdigit() else v for key, v in options.items()})
    for loader, split in (("train", "train"), ("val", "val"), ("test", "test")):
        fields = dict(config[f"{loader}_dataloader"].dataset)
        assert fields.pop("type") == "FolderDataset"
        data = FolderDataset(**{**fields, "pipeline": []})
        assert len(data) == json.loads((tmp_path / "out/report.json").read_text())["pictures"][split]
        assert list(data.metainfo["classes"]) == ["road", "roof", "tree"]
    assert config.model.decode_head.num_classes == 3


def test_a_list_and_what_is_missing(tmp_path: Path) -> None:
    done = run_command("prepare_dataset.py", "--list", cwd=tmp_path)
    assert done.returncode == 0
    assert "cvat_masks" in done.stdout
    done = run_command("prepare_dataset.py", "nothing", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "SourceError: SOURCE nothing is not there." in done.stderr
    done = run_command("prepare_dataset.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "Name the export and the folder to be made" in done.stderr


def test_a_damaged_picture_makes_it_fail_after_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for kind in ("images", "masks"):
            (tmp_path / "in" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.eye(30, dtype=np.uint8)).save(tmp_path / f"in/{kind}/{name}.png")
    (tmp_path / "in/images/b.png").write_bytes(b"no picture")
    command = ["in", "out", "--split", "1"]
    done = run_command("prepare_dataset.py", *command, cwd=tmp_path)
    assert done.returncode == 1
    assert "images/b could not be prepared" in " ".join(done.stdout.split())
    assert "1 picture could not be prepared" in done.stderr
    assert (tmp_path / "out/images/train/a.png").is_file()
    assert run_command("prepare_dataset.py", *command, "--skip-bad", cwd=tmp_path).returncode == 0
