"""Folders of pictures and masks that no tool has laid out."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.rasters import write_raster

from ..making import written
from ..prepared import random_ids
from ..test_plain_masks import COLOURS, TABLES
from .case import GOLDEN_SIZE, Answer, Case, Ids, noise
from .raster_cases import AS_STORED

NAMED = ["nothing", "road", "sea lion"]
NUMBERED = ["class 0", "class 1", "class 2"]


def _maps(root: Path, image: str, count: int) -> dict[str, Ids]:
    """Five pictures, and a map of ids for each."""
    found = {}
    for i in range(5):
        noise(root / "in" / image.format(f"p{i}"), i)
        found[f"p{i}"] = random_ids(i, count, GOLDEN_SIZE)
    return found


def _save(path: Path, pixels: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


def _colours(root: Path, table: str, image: str, mask: str) -> Answer:
    maps = _maps(root, image, 3)
    written(root / "in" / table, TABLES[table])
    for name, ids in maps.items():
        _save(root / "in" / mask.format(name), COLOURS[ids])
    return Answer(maps, NAMED)


def _binary(root: Path, image: str, mask: str) -> Answer:
    maps = _maps(root, image, 2)
    for name, ids in maps.items():
        _save(root / "in" / mask.format(name), ids * np.uint8(255))
    return Answer(maps, ["background", "object"])


def _ids(root: Path, image: str, mask: str) -> Answer:
    maps = _maps(root, image, 3)
    for name, ids in maps.items():
        ids[3] = 255
        _save(root / "in" / mask.format(name), ids)
    return Answer(maps, NUMBERED)


def _from_one(root: Path) -> Answer:
    """GeoTIFFs that call 0 no data."""
    maps = _maps(root, "images/{}.png", 4)
    for name, ids in maps.items():
        write_raster(root / f"in/masks/{name}.tif", ids, nodata=0)
    return Answer(
        {name: np.array([255, 0, 1, 2], np.uint8)[ids] for name, ids in maps.items()}, ["class 1", "class 2", "class 3"]
    )


def _nested(root: Path) -> Answer:
    maps = _maps(root, "images/site 1/{}.png", 3)
    more = {}
    for i, (name, ids) in enumerate(maps.items()):
        _save(root / f"in/masks/site 1/{name}.png", ids)
        noise(root / f"in/images/site 2/north/q{i}.png", 10 + i)
        more[f"q{i}"] = ids[::-1]
        _save(root / f"in/masks/site 2/north/q{i}.png", more[f"q{i}"])
    return Answer(maps | more, NUMBERED)


def _a_mask_a_class(root: Path, mask: str) -> Answer:
    """Masks overlap in a few rows, which the later class has."""
    maps = _maps(root, "images/{}.jpg", 3)
    for name, ids in maps.items():
        ids[:4, :9] = 2
        cat = ids == 1
        cat[2:4, :9] = True
        _save(root / "in" / mask.format("cat", name), cat * np.uint8(255))
        _save(root / "in" / mask.format("dog", name), (ids == 2) * np.uint8(255))
    return Answer(maps, ["background", "cat", "dog"])


def _a_mask_an_object(root: Path) -> Answer:
    maps = {}
    for i in range(6):
        name = f"{i:064x}"
        noise(root / f"in/stage1_train/{name}/images/{name}.png", i)
        maps[name] = np.zeros(GOLDEN_SIZE, np.uint8)
        for number in range(3):
            mask = np.zeros(GOLDEN_SIZE, np.uint8)
            mask[2 + 5 * number : 6 + 5 * number, 3 + i : 12 + i] = 255
            _save(root / f"in/stage1_train/{name}/masks/{number:064x}.png", mask)
            maps[name] |= mask & 1
    return Answer(maps, ["background", "nucleus"], ("--split", "0.7,0.3"))


CASES = (
    Case(
        "colour_masks",
        "labelmap.txt, TIFF masks in nested folders",
        "CVAT's labelmap.txt",
        AS_STORED,
        lambda root: _colours(root, "labelmap.txt", "images/site 1/{}.jpg", "masks/site 1/{}.tif"),
    ),
    Case(
        "colour_masks",
        "class_dict.csv, `_mask` BMP beside the picture",
        "class_dict.csv of CamVid and DeepGlobe on Kaggle",
        AS_STORED,
        lambda root: _colours(root, "class_dict.csv", "{}.jpg", "{}_mask.bmp"),
    ),
    Case(
        "id_masks", "0 and 255", "a common one", AS_STORED, lambda root: _binary(root, "images/{}.jpg", "masks/{}.png")
    ),
    Case(
        "id_masks",
        "0 and 255, `_mask` BMP",
        "a common one",
        AS_STORED,
        lambda root: _binary(root, "{}.jpg", "{}_mask.bmp"),
    ),
    Case(
        "id_masks", "ids, `-labels` TIFF", "a common one", AS_STORED, lambda root: _ids(root, "{}.jpg", "{}-labels.tif")
    ),
    Case("id_masks", "from 1 up, 0 is no data", "GDAL's no data value", AS_STORED, _from_one),
    Case("id_masks", "nested folders", "a common one", AS_STORED, _nested),
    Case(
        "class_masks",
        "a folder a class",
        "a common one",
        AS_STORED,
        lambda root: _a_mask_a_class(root, "masks/{}/{}.png"),
    ),
    Case(
        "class_masks",
        "an ending a class",
        "names of IDRiD",
        AS_STORED,
        lambda root: _a_mask_a_class(root, "masks/{1}_{0}.tif"),
    ),
    Case(
        "object_masks",
        "Data Science Bowl 2018",
        "stage1_train.zip of Kaggle",
        AS_STORED,
        _a_mask_an_object,
    ),
)
