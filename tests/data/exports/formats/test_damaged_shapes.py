"""Exports of polygons and run lengths in which a value is another one: refused in words, or read for what is left."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from internvl_seg.data.exports.formats import coco, cvat_xml, kaggle_rle, roboflow_coco, vectors, yolo
from internvl_seg.data.exports.source import Source

from ..making import picture, written
from ..refusals import refusal
from .test_coco import SQUARE, entry, of
from .test_cvat_xml import HIGH, LOW, POLYGON, xml
from .test_damaged import ODD, damaged, places, read_all
from .test_vectors import HOUSE, ROAD, collection, raster
from .test_yolo import BIG, SMALL, YAML

COCO = of(
    entry([SQUARE, [1, 1, 5, 1, 5, 5]]),
    entry({"size": [20, 30], "counts": "0d0Tb0"}, 44),
    entry({"size": [20, 30], "counts": [40, 5, 15, 5, 535]}, iscrowd=1),
    entry([], bbox=[1, 2, 3, 4]),
)
# By name: the reader, the file that is damaged, and what it holds.
EXPORTS: dict[str, tuple[Any, str, Any]] = {
    "coco": (coco, "a.json", COCO),
    "roboflow_coco": (roboflow_coco, "_annotations.coco.json", COCO),
    "vectors": (vectors, "a.geojson", collection((HOUSE, {"class": 1}), (ROAD, {"class": "b"}), crs="EPSG:32632")),
    "yolo": (yolo, "data.yaml", yaml.safe_load(YAML)),
}
MASK = '<mask label="car" rle="1, 2, 2, 1" left="4" top="3" width="3" height="2" z_order="0"></mask>'
BOX = '<box label="road" xtl="10.00" ytl="2.00" xbr="20.00" ybr="6.00" rotation="5" z_order="0"></box>'
ELLIPSE = '<ellipse label="car" cx="24.50" cy="12.40" rx="4.50" ry="2.50" z_order="0"></ellipse>'
CVAT = xml(POLYGON.format("car", HIGH, 3), POLYGON.format("road", LOW, 0), MASK, BOX, ELLIPSE)
TABLE = "ImageId,ClassId,EncodedPixels\na.jpg,1,1 20 41 3\na.jpg,2,100 5\n"
# Texts by the same.
TEXTS: dict[str, tuple[Any, str, str]] = {
    "cvat_xml": (cvat_xml, "annotations.xml", CVAT),
    "kaggle_rle": (kaggle_rle, "train.csv", TABLE),
    "yolo_labels": (yolo, "labels/train/a.txt", f"{BIG}\n{SMALL}\n"),
}
WORDS = ["", "nan", "inf", "-1", "1e9", "999999999999999999999", "\0", "é", "<", '"', "\n", "0", "car", "5.5", ",", ";"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = path = tmp_path_factory.mktemp(name)
            if name == "vectors":
                raster(path / "ortho.tif")
            elif name.startswith("yolo"):
                picture(path / "images" / "train" / "a.jpg")
                written(path / "labels" / "train" / "a.txt", BIG)
                written(path / "data.yaml", YAML)
            else:
                picture(path / ("a.jpg" if name == "kaggle_rle" else "a.png"))
        return made[name]

    return folder


def check(module: Any, folder: Path) -> None:
    size = (60, 80) if module is vectors else (20, 30)
    _, words = refusal(lambda: read_all(module, Source(folder), size))
    assert len(words) < 1500


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("name", EXPORTS)
def test_only_refusals_leave_a_reader(folders: Callable[[str], Path], name: str, data: st.DataObject) -> None:
    module, at, content = EXPORTS[name]
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(places(content))))
        content = damaged(content, path, data.draw(ODD), data.draw(st.sampled_from(["other", "gone", "twice"])))
    written(folders(name) / at, json.dumps(content))
    check(module, folders(name))


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("name", TEXTS)
def test_only_refusals_leave_a_reader_of_text(folders: Callable[[str], Path], name: str, seed: int) -> None:
    module, at, content = TEXTS[name]
    chance = random.Random(seed)
    parts = re.split(r"([\s,;\"<>=_]+)", content)
    for _ in range(chance.randint(1, 3)):
        parts[chance.randrange(len(parts))] = chance.choice(WORDS)
    written(folders(name) / at, "".join(parts))
    check(module, folders(name))


@pytest.mark.parametrize("name", [*EXPORTS, *TEXTS])
@pytest.mark.parametrize("data", [b"{", b"\xff\xfe\0", b"[" * 200_000, b"[1, 2]", b"{}", b"null", b"", b"\x89PNG\r\n"])
def test_bytes_of_something_else(folders: Callable[[str], Path], name: str, data: bytes) -> None:
    module, at, _ = (EXPORTS | TEXTS)[name]
    (folders(name) / at).write_bytes(data)
    check(module, folders(name))


def test_the_whole_exports_are_read(folders: Callable[[str], Path]) -> None:
    for name, (module, at, content) in (EXPORTS | TEXTS).items():
        folder = folders(name)
        written(folder / "data.yaml", YAML)
        written(folder / at, content)
        size = (60, 80) if module is vectors else (20, 30)
        assert refusal(lambda: read_all(module, Source(folder), size))[1] == ""  # noqa: B023 - called at once
