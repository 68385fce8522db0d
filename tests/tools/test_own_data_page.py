"""The three commands of docs/own_data.md, as they stand there, from five aerial GeoTIFFs to labels and a score.

All of it is the page's but the encoder, which is too small to need weights, and the number of iterations.
"""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from internvl_seg.data.gdal import gdal

from ..commands import run_command
from ..rasters import write_raster

ROOT = Path(__file__).resolve().parents[2]
COLOURS = np.array([[0, 0, 255], [255, 255, 255], [0, 255, 0]], np.uint8)
CLASSES = "roof #0000ff\nroad #ffffff\ntree #00ff00\n"
# Wider than a tile of the page's, so that each picture is cut in two.
SIZE = (480, 1040)
ITERATIONS = 12
TINY = """--cfg-options model.backbone.arch._delete_=True model.backbone.arch.embed_dim=32 model.backbone.arch.depth=1
    model.backbone.arch.num_heads=2 model.backbone.arch.patch_size=28 model.backbone.init_cfg=None
    model.backbone.out_indices=[0] model.backbone.frozen=False model.decode_head.in_channels=32
    optim_wrapper.optimizer.lr=0.01 train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
    val_dataloader.num_workers=0 val_dataloader.persistent_workers=False test_dataloader.num_workers=0
    test_dataloader.persistent_workers=False"""


def commands() -> list[list[str]]:
    """The block of the page that begins with the preparation, a list of words for each command."""
    page = (ROOT / "docs/own_data.md").read_text()
    (block,) = (part for part in page.split("```bash\n")[1:] if part.startswith("python tools/prepare_dataset.py"))
    return [shlex.split(line) for line in block.split("```")[0].replace("\\\n", " ").splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page says that there is; the configs beside it, as in a checkout."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "classes.txt").write_text(CLASSES)
    for i in range(5):
        rng = np.random.default_rng(i)
        ids = rng.integers(0, 3, (SIZE[0] // 40, SIZE[1] // 40)).repeat(40, 0).repeat(40, 1)
        pixels = COLOURS[ids] // 2 + rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8)
        place = {"crs": "EPSG:32633", "transform": from_origin(500_000 + 300 * i, 5_800_000, 0.2, 0.2)}
        for kind, content in (("images", pixels), ("labels", COLOURS[ids])):
            write_raster(tmp_path / f"aerial/{kind}/site{i}.tif", content, photometric="rgb", **place)
    return tmp_path


def run(folder: Path, words: list[str]) -> str:
    """Run a command of the page, with fewer iterations and the other encoder."""
    assert words[0] == "python"
    words = [word.replace("=500", f"={ITERATIONS}").replace("iter_500", f"iter_{ITERATIONS}") for word in words]
    words = [word.replace("val_interval=50", f"val_interval={ITERATIONS}") for word in words]
    words = [word for word in words if word != "--cfg-options"] if "train.py" in words[1] else words
    if "train.py" in words[1]:
        place = next(i for i, word in enumerate(words) if "=" in word)
        words[place:place] = TINY.split()
    done = run_command(Path(words[1]).name, *words[2:], cwd=folder)
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_from_five_geotiffs_to_a_model_its_labels_and_its_score(folder: Path) -> None:
    prepare, train, infer = commands()
    printed = run(folder, prepare)
    report = json.loads((folder / "data/aerial/report.json").read_text())
    assert report["pictures"].keys() == {"train", "val", "test"}
    assert sum(report["pictures"].values()) == 10
    # The page's second command is the one that is printed, but for its length.
    said = shlex.split(printed.splitlines()[-1])
    assert {word for word in said if "_cfg." not in word} <= {*train, "python"}
    run(folder, train)
    work = folder / "work_dirs/aerial"
    assert (work / f"iter_{ITERATIONS}.pth").is_file()
    scores = [json.loads(line) for path in work.rglob("scalars.json") for line in path.read_text().splitlines()]
    validated = [one["mIoU"] for one in scores if "mIoU" in one]
    run(folder, infer)
    for i in range(5):
        with (
            gdal("The labels cannot be read"),
            rasterio.open(folder / f"aerial/images/site{i}.tif") as image,
            rasterio.open(folder / f"aerial_labels/labels/site{i}.tif") as labels,
        ):
            assert (labels.crs, labels.transform, labels.shape) == (image.crs, image.transform, image.shape)
            assert labels.count == 1
            assert set(np.unique(labels.read(1)).tolist()) <= {0, 1, 2}
    config, checkpoint = infer[2], infer[3].replace("500", str(ITERATIONS))
    run(folder, ["python", "tools/test.py", config, checkpoint])
    (found,) = folder.rglob("test_results.json")
    score = json.loads(found.read_text())["metrics"]["mIoU"]
    print(f"mIoU of the held-out tiles {score:.1f}; of validation {validated[-1]:.1f}")
    assert score > 50
    assert len(validated) == 1
