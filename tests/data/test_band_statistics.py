"""Mean and deviation of bands are those of all pixels of a training set, whatever their numbers and order."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image
from rich.console import Console

from internvl_seg.data.band_statistics import StatisticsError, measure_bands
from internvl_seg.data.bands import ImageError
from internvl_seg.training.measuring import measure

from ..rasters import write_raster

LOAD: dict[str, Any] = {"type": "LoadImageFromFile", "bands": [3, 1]}


@pytest.fixture
def images(tmp_path: Path) -> list[np.ndarray]:
    init_default_scope("mmseg")
    found = []
    for i in range(5):
        rng = np.random.default_rng(i)
        found.append(rng.normal([1e6 + i, -5, 0.01], [1, 10 * i + 1, 1e-3], (5 + i, 7, 3)).astype(np.float32))
        write_raster(tmp_path / f"images/train/{i}.tif", found[-1])
        (tmp_path / "annotations/train").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((5 + i, 7), np.uint8)).save(tmp_path / f"annotations/train/{i}.png")
    return found


def dataset(root: Path) -> dict[str, Any]:
    prefix = {"img_path": "images/train", "seg_map_path": "annotations/train"}
    return {"type": "FolderDataset", "data_root": str(root), "data_prefix": prefix}


def test_they_are_those_of_all_pixels(images: list[np.ndarray], tmp_path: Path) -> None:
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64)[:, [2, 0]]
    found = measure_bands(dataset(tmp_path), LOAD)
    assert found.pixels == len(pixels)
    assert found.images == 5
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-10)
    assert (found.low, found.high) == (pixels.min(0).tolist(), pixels.max(0).tolist())
    twice = {"type": "ConcatDataset", "datasets": [dataset(tmp_path)] * 2}
    np.testing.assert_allclose(measure_bands(twice, LOAD).std, found.std, rtol=1e-10)
    assert measure_bands(dataset(tmp_path), LOAD) == found


def test_pixels_without_data_are_refused_or_left_out(images: list[np.ndarray], tmp_path: Path) -> None:
    images[1][2, 3, 0] = np.nan
    write_raster(tmp_path / "images/train/1.tif", images[1])
    with pytest.raises(ImageError, match=r"1\.tif: 1 pixel holds no data"):
        measure_bands(dataset(tmp_path), LOAD)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64)[:, [2, 0]]
    pixels = pixels[np.isfinite(pixels).all(1)]
    found = measure_bands(dataset(tmp_path), {**LOAD, "no_data": -1e9})
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-14)


def test_a_band_that_tells_nothing_is_told(images: list[np.ndarray], tmp_path: Path) -> None:
    for i, image in enumerate(images):
        image[..., 0] = 3
        write_raster(tmp_path / f"images/train/{i}.tif", image)
    with pytest.raises(StatisticsError, match="Channel 2 has the value 3 in all images"):
        measure_bands(dataset(tmp_path), LOAD)


@pytest.mark.parametrize("bands", [[1, 2, 3], None])
def test_what_it_prints_is_what_a_config_takes(
    bands: list[int] | None, images: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers([0, 100, 200], [10, 110, 250], (5, 6, 7, 3)).astype(np.uint8)
    for i, image in enumerate(pixels):
        write_raster(tmp_path / f"images/train/{i}.tif", image, photometric="rgb")
    config = {
        "model": {"type": "EncoderDecoder", "data_preprocessor": {"bgr_to_rgb": bands is None}},
        "train_dataloader": {"dataset": {**dataset(tmp_path), "pipeline": [{**LOAD, "bands": bands}]}},
    }
    (tmp_path / "config.py").write_text("\n".join(f"{name} = {value!r}" for name, value in config.items()))
    measure(tmp_path / "config.py", json=tmp_path / "bands.json")
    wanted = pixels.reshape(-1, 3).mean(0)
    np.testing.assert_allclose(json.loads((tmp_path / "bands.json").read_text())["mean"], wanted)
    printed = capsys.readouterr().out.partition("Write into the config:")[2]
    values: dict[str, Any] = {}
    exec(printed, values)
    preprocessor = values["model"]["data_preprocessor"]
    np.testing.assert_allclose(preprocessor["mean"], wanted, rtol=1e-5)
    assert preprocessor.get("bgr_to_rgb") is (None if bands is None else False)


@pytest.mark.parametrize(("kind", "field"), [("SegDataPreProcessor", "bgr_to_rgb"), ("ClsDataPreprocessor", "to_rgb")])
def test_it_prints_what_the_preprocessor_calls_the_order(
    kind: str, field: str, images: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "model": {"data_preprocessor": {"type": kind}},
        "train_dataloader": {"dataset": {**dataset(tmp_path), "pipeline": [LOAD]}},
    }
    (tmp_path / "config.py").write_text("\n".join(f"{name} = {value!r}" for name, value in config.items()))
    measure(tmp_path / "config.py")
    assert f"], {field}=False)," in capsys.readouterr().out


def test_after_an_error_no_bar_is_left(images: list[np.ndarray], tmp_path: Path) -> None:
    images[2][0, 0, 0] = np.nan
    write_raster(tmp_path / "images/train/2.tif", images[2])
    config = {"train_dataloader": {"dataset": {**dataset(tmp_path), "pipeline": [LOAD]}}}
    (tmp_path / "config.py").write_text("\n".join(f"{name} = {value!r}" for name, value in config.items()))
    for is_terminal in (False, True):
        printed = io.StringIO()
        console = Console(file=printed, force_terminal=is_terminal, width=80)
        with pytest.raises(ImageError, match="hold"):
            measure(tmp_path / "config.py", console=console)
        shown = printed.getvalue()
        # What a terminal shows is taken away again by moving up and erasing the line.
        assert shown.rstrip().endswith("\x1b[2K") if is_terminal else not shown


def test_the_tool_says_in_a_line_that_the_folder_holds_no_image(tmp_path: Path) -> None:
    for folder in ("images", "annotations"):
        (tmp_path / folder / "train").mkdir(parents=True)
    config = {"train_dataloader": {"dataset": {**dataset(tmp_path), "pipeline": [LOAD]}}}
    (tmp_path / "config.py").write_text("\n".join(f"{name} = {value!r}" for name, value in config.items()))
    tool = [sys.executable, str(Path(__file__).parents[2] / "tools/measure_bands.py"), str(tmp_path / "config.py")]
    ended = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("NoImageError: ")
