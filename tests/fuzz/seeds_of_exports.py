"""Small whole exports of tools of labels, as the tests of their readers make them, and such as no memory holds."""

import base64
import gzip
import json
import os
import shutil
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.data.exports.formats import test_damaged, test_damaged_shapes
from tests.data.exports.formats.test_coco import SQUARE, entry, of
from tests.data.exports.formats.test_cvat_xml import xml
from tests.data.exports.formats.test_geopackages import geopackage
from tests.data.exports.formats.test_hasty import image, label, project
from tests.data.exports.formats.test_label_studio import annotation, brush, task
from tests.data.exports.formats.test_labelme import record, shape
from tests.data.exports.formats.test_segments_ai import IDS
from tests.data.exports.formats.test_supervisely import META, bitmap
from tests.data.exports.formats.test_supervisely import annotation as figures
from tests.data.exports.formats.test_vectors import raster
from tests.data.exports.formats.test_via import file, region
from tests.data.exports.formats.test_via import project as via_project
from tests.data.exports.formats.test_yolo import BIG, YAML
from tests.data.exports.making import GOLDEN, picture, written

_HUGE = 10**15
_SIDE = 40_000
_FAR = 30_000_000


class Seed(NamedTuple):
    """An export.

    Attributes:
        format: Of the formats that are known.
        files: Those that are damaged, below the export's folder.
    """

    format: str
    files: tuple[str, ...]


# By the folder of ``exports`` that holds it.
EXPORTS: dict[str, Seed] = {
    **{name: Seed(made[0].__name__.rpartition(".")[2], (made[1],)) for name, made in test_damaged.EXPORTS.items()},
    **{
        name: Seed(module.__name__.rpartition(".")[2], (file,))
        for name, (module, file, _) in (test_damaged_shapes.EXPORTS | test_damaged_shapes.TEXTS).items()
    },
    "geopackage": Seed("vectors", ("layers.gpkg",)),
    "colour_masks": Seed("colour_masks", ("colours.csv", "masks/a.png")),
    "cvat_masks": Seed("cvat_masks", ("labelmap.txt", "ImageSets/Segmentation/train.txt", "SegmentationClass/a.png")),
    "voc": Seed("voc", ("class_names.txt", "ImageSets/Segmentation/train.txt", "SegmentationClass/a.png")),
    "id_masks": Seed("id_masks", ("classes.txt", "masks/a.tif", "images/a.png")),
    "roboflow_masks": Seed("roboflow_masks", ("train/_classes.csv", "train/a_mask.png")),
}
# Those of the others: an export and the file that no memory holds.
BOMBS: dict[str, tuple[str, str]] = {
    "coco_runs": ("coco", "a.json"),
    "coco_polygon": ("coco", "a.json"),
    "coco_nested": ("coco", "a.json"),
    "cvat_entities": ("cvat_xml", "annotations.xml"),
    "cvat_mask": ("cvat_xml", "annotations.xml"),
    "hasty_box": ("hasty", "a.json"),
    "kaggle_run": ("kaggle_rle", "train.csv"),
    "label_studio_size": ("label_studio", "a.json"),
    "labelme_png": ("labelme", "a.json"),
    "labelme_picture": ("labelme", "a.json"),
    "supervisely_zlib": ("supervisely", "ds/ann/a.jpg.json"),
    "supervisely_png": ("supervisely", "ds/ann/a.jpg.json"),
    "via_ellipse": ("via", "a.json"),
    "vectors_rings": ("vectors", "a.gpkg"),
    "yolo_names": ("yolo", "data.yaml"),
}


IMAGES = ("train/a.png", "train/b.jpg", "train/c.tif", "val/d.bmp", "val/e.webp")


def write_exports(folder: Path) -> None:
    """Write all of them into folders of ``exports``, and what is larger than memory into such of ``bombs``.

    Args:
        folder: For both.
    """
    exports = folder / "exports"
    for name, (_, at, content, others) in test_damaged.EXPORTS.items():
        root = exports / name
        picture(root / ("ds/img/a.jpg" if name.startswith("supervisely") else "a.jpg"))
        for other, its_content in {at: content, **others}.items():
            written(root / other, its_content)
    Image.fromarray(IDS).save(exports / "segments_ai/a_label_ground-truth.png")
    Image.fromarray(np.full((20, 30), 3, np.uint8)).save(exports / "hasty_masks/a.png")
    for name, (_, at, text) in (test_damaged_shapes.EXPORTS | test_damaged_shapes.TEXTS).items():
        root = exports / name
        if name == "vectors":
            raster(root / "ortho.tif")
        elif name.startswith("yolo"):
            picture(root / "images/train/a.jpg")
            written(root / "labels/train/a.txt", BIG)
            written(root / "data.yaml", YAML)
        else:
            picture(root / ("a.jpg" if name == "kaggle_rle" else "a.png"))
        if name != "yolo":
            written(root / at, text)
    (exports / "geopackage").mkdir()
    raster(exports / "geopackage/ortho.tif")
    (exports / "geopackage/layers.gpkg").write_bytes(gzip.decompress((GOLDEN / "layers.gpkg.gz").read_bytes()))
    _write_masks(exports)
    _write_bombs(exports, folder / "bombs")
    for name, content in (("run_lengths.txt", b"0d0Tb0"), ("geometry.wkb", _geometry(exports / "geopackage"))):
        (folder / "codes").mkdir(exist_ok=True)
        (folder / "codes" / name).write_bytes(content)


def _write_masks(exports: Path) -> None:
    ids = np.zeros((20, 30), np.uint8)
    ids[5:9, 4:20] = 1
    coloured = np.array([[128, 64, 128], [0, 0, 142]], np.uint8)[ids]

    def saved(path: str, pixels: Any) -> None:
        (exports / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(exports / path)

    for path in ("colour_masks/images/a.png", "id_masks/images/a.png", "roboflow_masks/train/a.png"):
        picture(exports / path)
    for path in ("cvat_masks/JPEGImages/a.jpg", "voc/JPEGImages/a.jpg"):
        picture(exports / path)
    for path in ("colour_masks/masks/a.png", "cvat_masks/SegmentationClass/a.png"):
        saved(path, coloured)
    for path in ("id_masks/masks/a.tif", "voc/SegmentationClass/a.png", "roboflow_masks/train/a_mask.png"):
        saved(path, ids)
    written(exports / "colour_masks/colours.csv", "name,r,g,b\nroad,128,64,128\ncar,0,0,142\n")
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\ncar:0,0,142::\n"
    written(exports / "cvat_masks/labelmap.txt", lines)
    written(exports / "voc/class_names.txt", "_background_\nroad\n")
    written(exports / "id_masks/classes.txt", 'road\n"car 2" 0 0 142\ntree #00ff00\n')
    written(exports / "roboflow_masks/train/_classes.csv", "Pixel Value, Class\n0, background\n1, road\n")
    for name in ("cvat_masks", "voc"):
        written(exports / name / "ImageSets/Segmentation/train.txt", "a\n")
    written(exports / "tables/colours.json", {"road": [128, 64, 128], "car": "#00008e"})
    written(exports / "tables/camvid.txt", "64 128 64 Animal\n192 0 128 Archway\n")
    for name in ("colour_masks/colours.csv", "cvat_masks/labelmap.txt", "id_masks/classes.txt"):
        shutil.copy(exports / name, exports / "tables")


def _geometry(folder: Path) -> bytes:
    base = sqlite3.connect(folder / "layers.gpkg")
    ((blob,),) = base.execute("SELECT geom FROM areas WHERE geom IS NOT NULL LIMIT 1").fetchall()
    base.close()
    return bytes(blob)


def _write_bombs(exports: Path, folder: Path) -> None:
    wide = _wide_png()
    deep = "[" * 50_000 + "]" * 50_000
    laughs = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha" * 50}">' for i in range(12))
    rings = b"GP\0\1\0\0\0\0" + struct.pack("<BII", 1, 3, 2**31) + bytes(64)
    lists = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9 if i else ['x'] * 9)}]" for i in range(12)]
    oval = {"name": "ellipse", "cx": 9, "cy": 8, "rx": 1e12, "ry": 1e12}
    contents: dict[str, Any] = {
        "coco_runs": of(entry({"size": [20, 30], "counts": [0, _HUGE]})),
        "coco_polygon": of(entry([[0, 0, 1e12, 0, 1e12, 1e12]]), entry([SQUARE])),
        "coco_nested": json.dumps(of(entry([SQUARE]))).replace('"iscrowd": 0', f'"iscrowd": {deep}'),
        "cvat_entities": f"<!DOCTYPE annotations [{laughs}]><annotations>&a11;</annotations>",
        "cvat_mask": xml(f'<mask label="car" rle="{_HUGE}" left="0" top="0" width="{_FAR}" height="{_FAR}"></mask>'),
        "hasty_box": project([image([label(bbox=[0, 0, 10**7, 10**7], mask=[10**14])], dataset_name="")]),
        "kaggle_run": f"ImageId,EncodedPixels\na.jpg,1 {_HUGE}\n",
        "label_studio_size": [
            task([annotation([{**brush([0, 0, 0, 1]), "original_width": 10**7, "original_height": 10**7}])], "a.jpg")
        ],
        "labelme_png": record([shape(points=[[2, 2], [5, 5]], kind="mask", mask=base64.b64encode(wide).decode())]),
        "labelme_picture": record([shape()], "gone.jpg", imageData=base64.b64encode(wide).decode()),
        "supervisely_zlib": figures([bitmap(base64.b64encode(_zeros(1200)).decode())]),
        "supervisely_png": figures([bitmap(base64.b64encode(zlib.compress(wide)).decode())]),
        "via_ellipse": via_project([file([region(oval, kind="1")])]),
        "yolo_names": "\n".join([*lists, "train: images/train", "names: {0: *a11}"]),
    }
    for name, (export, at) in BOMBS.items():
        shutil.copytree(exports / export, folder / name)
        if name != "vectors_rings":
            written(folder / name / at, contents[name])
    (folder / "vectors_rings/a.geojson").unlink()
    geopackage(folder / "vectors_rings/a.gpkg", rings)
    written(folder / "supervisely_zlib/meta.json", META)


def _zeros(megabytes: int) -> bytes:
    """Zeros as zlib packs them, a megabyte at a time that knows nothing of those before."""
    pack = zlib.compressobj(9)
    first = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    other = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    return first + other * (megabytes - 1)


def _wide_png() -> bytes:
    """A PNG of zeros that is small and has as many pixels as no mask has."""
    head = struct.pack(">II5B", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    chunks = (b"IHDR" + head, b"IDAT" + zlib.compress(bytes(_SIDE * 100), 9), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def write_data_set(folder: Path) -> None:
    """Write images of several kinds and masks, of which nothing is wrong."""
    draw = np.random.default_rng(0)
    for name in IMAGES:
        images = folder / "images" / name, draw.integers(256, size=(30, 50, 3), dtype=np.uint8)
        masks = (folder / "annotations" / name).with_suffix(".png"), draw.integers(3, size=(30, 50), dtype=np.uint8)
        for path, pixels in (images, masks):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            os.utime(path, (1e9, 1e9))  # What is younger than two seconds is not kept.
    written(folder / "damage.txt", "damage")
