"""The pipelines of every data set, run on real files."""

import re
import shlex
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image

from internvl_seg.training.checks import check_form
from internvl_seg.training.config import ConfigError, add_options, load_config
from internvl_seg.training.measuring import measure

from ..rasters import write_raster
from . import FOLDER

# By base config: how an image and its mask are called.
LAYOUTS = {
    "ade20k": ("images/{}/a.jpg", "annotations/{}/a.png", ("training", "validation")),
    "coco_stuff164k": ("images/{}/a.jpg", "annotations/{}/a_labelTrainIds.png", ("train2017", "val2017")),
    "cityscapes": ("leftImg8bit/{}/x/a_leftImg8bit.png", "gtFine/{}/x/a_gtFine_labelTrainIds.png", ("train", "val")),
    "folder": ("images/{}/a.jpg", "annotations/{}/a.png", ("train", "test")),
}
# Brightness tells the label, so that both can be seen to be cropped and flipped alike.
LABELS = np.repeat(np.repeat(np.array([[0, 1], [2, 255]], np.uint8), 60, 0), 80, 1)


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


def write(folder: Path, image: str, mask: str) -> None:
    for path, content in ((folder / image, np.repeat(LABELS[..., None], 3, 2)), (folder / mask, LABELS)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path)


def read(base: str, data: Path) -> Config:
    return load_config(FOLDER / "_base_" / "datasets" / f"{base}_504x504.py", {"data_root": str(data)})


def check(dataset: Any, tta: Any, reduces: bool) -> None:
    """Labels of a training and a test sample, sizes, and the scales and flips of TTA."""
    trained, tested = (DATASETS.build(d) for d in dataset)
    expected = {255, 0, 1} if reduces else {0, 1, 2, 255}
    seen: set[int] = set()
    for _ in range(8):
        sample = trained[0]
        seen |= set(np.unique(sample["data_samples"].gt_sem_seg.data).tolist())
        assert max(sample["inputs"].shape[1:]) <= 504
    assert seen == expected
    sample = tested[0]
    assert sample["data_samples"].gt_sem_seg.shape == LABELS.shape  # Scored at the size of the mask.
    assert all(side % 14 == 0 for side in sample["inputs"].shape[1:])
    info = tested.get_data_info(0)
    for transform in tta:
        info = TRANSFORMS.build(transform)(info)
    assert len(info["inputs"]) == 12
    assert all(side % 14 == 0 for image in info["inputs"] for side in image.shape[1:])
    assert sum(s.metainfo["flip"] for s in info["data_samples"]) == 6


@pytest.mark.parametrize("base", LAYOUTS)
def test_images_and_masks_go_through(base: str, tmp_path: Path) -> None:
    image, mask, splits = LAYOUTS[base]
    for split in splits:
        write(tmp_path, image.format(split), mask.format(split))
    config = read(base, tmp_path)
    check((config.train_dataloader.dataset, config.test_dataloader.dataset), config.tta_pipeline, base == "ade20k")


@pytest.mark.parametrize("size", [(1200, 1600), (300, 520), (504, 504)])
def test_tiles_are_never_made_smaller_than_the_crop_asks(size: tuple[int, int], tmp_path: Path) -> None:
    """The picture grows brighter to the right, so that a crop's scale can be read off it."""
    columns = np.tile(np.linspace(0, 255, size[1]), (size[0], 1)).astype(np.uint8)
    for split in ("train", "test"):
        for kind in ("images", "annotations"):
            (tmp_path / kind / split).mkdir(parents=True)
        Image.fromarray(np.repeat(columns[..., None], 3, -1)).save(tmp_path / f"images/{split}/a.png")
        Image.fromarray((columns // 64).astype(np.uint8)).save(tmp_path / f"annotations/{split}/a.png")
    config = load_config(FOLDER / "_base_/datasets/folder_tiles_504x504.py", {"data_root": str(tmp_path)})
    plain = [t for t in config.train_pipeline if t.type not in ("RandomFlip", "PhotoMetricDistortion")]
    trained = DATASETS.build({**config.train_dataloader.dataset, "pipeline": plain})
    scales = set()
    for _ in range(20):
        sample = trained[0]
        height, width = sample["inputs"].shape[1:]
        assert height <= 504
        assert width <= 504
        assert sample["data_samples"].gt_sem_seg.shape == (height, width)
        row = sample["inputs"][0, 0].numpy().astype(int)
        scale = 255 / size[1] / np.polyfit(np.arange(width), row, 1)[0]
        scales.add(min((0.75, 1.0, 4 / 3), key=lambda known: abs(known - scale)))
        assert min(abs(known - scale) for known in scales) < 0.02
    assert scales == {0.75, 1.0, 4 / 3}
    tested = DATASETS.build(config.test_dataloader.dataset)[0]
    assert tested["inputs"].shape[1:] == size
    info = DATASETS.build(config.test_dataloader.dataset).get_data_info(0)
    for transform in config.tta_pipeline:
        info = TRANSFORMS.build(transform)(info)
    assert len(info["inputs"]) == 9
    assert {tuple(image.shape[1:]) for image in info["inputs"]} == {
        tuple(int(side * factor + 0.5) for side in size) for factor in (0.75, 1.0, 1.25)
    }


def test_pascal_voc_has_two_sources_of_masks(tmp_path: Path) -> None:
    write(tmp_path, "JPEGImages/a.jpg", "SegmentationClass/a.png")
    write(tmp_path, "JPEGImages/b.jpg", "SegmentationClassAug/b.png")
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for name, image in (("train", "a"), ("aug", "b"), ("val", "a")):
        (lists / f"{name}.txt").write_text(f"{image}\n")
    config = read("voc", tmp_path)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    masks = [
        Path(dataset.get_data_info(i)["seg_map_path"]).relative_to(tmp_path).as_posix() for i in range(len(dataset))
    ]
    assert masks == ["SegmentationClass/a.png", "SegmentationClassAug/b.png"]
    check((config.train_dataloader.dataset, config.test_dataloader.dataset), config.tta_pipeline, reduces=False)


def test_few_shot_takes_the_first_images(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path, f"images/training/{i}.jpg", f"annotations/training/{i}.png")
    config = read("ade20k", tmp_path)
    dataset = DATASETS.build({**config.train_dataloader.dataset, "indices": 2})
    assert [Path(dataset.get_data_info(i)["img_path"]).name for i in range(len(dataset))] == ["0.jpg", "1.jpg"]


def test_the_test_pipeline_is_the_official_one(tmp_path: Path) -> None:
    config = read("ade20k", tmp_path)
    transforms = [TRANSFORMS.build(t) for t in config.test_dataloader.dataset.pipeline[1:3]]
    for size, want in (
        ((300, 400), (504, 672)),
        ((683, 512), (672, 504)),
        ((683, 500), (700, 504)),
        ((200, 2000), (504, 5040)),
    ):
        results = {"img": np.zeros((*size, 3), np.uint8), "img_shape": size}
        for transform in transforms:
            results = transform(results)
        assert results["img"].shape[:2] == want


def test_the_documented_options_change_the_crop_everywhere(tmp_path: Path) -> None:
    page = (FOLDER.parent / "docs" / "training.md").read_text()
    (command,) = re.findall(r"python tools/train\.py (configs/folder/.*?)\n```", page, re.DOTALL)
    parser = ArgumentParser()
    parser.add_argument("config")
    add_options(parser)
    args = parser.parse_args(shlex.split(command.replace("\\\n", " ")))
    config = load_config(FOLDER.parent / args.config, args.cfg_options | {"data_root": str(tmp_path)})
    for key in ("model", "train_dataloader", "val_dataloader", "test_dataloader"):
        assert "504" not in str(config[key]), key
    write(tmp_path, "images/train/a.jpg", "annotations/train/a.png")
    (tmp_path / "classes.txt").write_text("dark\nmiddle\nlight\n")
    assert max(DATASETS.build(config.train_dataloader.dataset)[0]["inputs"].shape[1:]) <= 336


def test_the_documented_config_of_four_bands_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (FOLDER.parent / "docs" / "bands.md").read_text()
    (text,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.py").write_text(text.replace('"./', f'"{FOLDER}/folder/'))
    monkeypatch.chdir(tmp_path)
    config = load_config("mine.py", {})
    pixels = np.arange(4 * 60 * 80, dtype=np.uint16).reshape(60, 80, 4)
    for split, loader in (("train", config.train_dataloader), ("test", config.val_dataloader)):
        write_raster(tmp_path / f"data/mine/images/{split}/a.tif", pixels)
        mask = tmp_path / f"data/mine/annotations/{split}/a.png"
        mask.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((60, 80), np.uint8)).save(mask)
        (tmp_path / "data/mine/classes.txt").write_text("soil\ncrop\n")
        inputs = DATASETS.build(loader.dataset)[0]["inputs"]
        assert inputs.shape == (4, 60, 80)
        assert inputs.max() == pixels.max()
    check_form(config, "train")
    assert len(measure("mine.py").mean) == config.model.backbone.in_chans == 4
    # Without the loaders the pipelines reach nothing, which is said before an image is refused.
    path = tmp_path / "mine.py"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "dataloader" not in line))
    with pytest.raises(ConfigError, match="train_pipeline is read by nothing any more"):
        measure("mine.py")
