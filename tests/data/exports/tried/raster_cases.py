"""Exports of masks that tools and data sets lay out, and polygons over rasters."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from PIL import Image
from rasterio.features import rasterize
from rasterio.warp import transform_geom

from tests.rasters import write_raster

from .. import test_mask_layouts as laid_out
from ..formats import test_segments_ai, test_vectors
from ..making import GOLDEN, written
from ..prepared import random_ids
from .case import GOLDEN_SIZE, Answer, Case, Ids, noise

AS_STORED = "the ids that were stored"


def _by_table(ids: Ids, table: Any) -> Ids:
    return np.asarray(table, np.uint8)[ids]


def _cvat(root: Path) -> Answer:
    ids = laid_out.cvat(root / "in")
    masks = {Path(name).name: mask for name, mask in ids.items()}
    masks["empty"] = np.zeros_like(masks["a"])
    # Of three pictures, one is without a shape: the others are to be in the first two splits.
    lists = [str(written(root / f"{split}.txt", names)) for split, names in (("train", "a\n"), ("val", "b\nempty\n"))]
    return Answer(masks, ["background", "aeroplane", "car"], ("--split-list", *lists))


def _roboflow(root: Path) -> Answer:
    ids = laid_out.roboflow(root / "in")
    masks = {f"street.v2_jpg.rf.{seed}0ff": mask for seed, mask in enumerate(ids.values())}
    return Answer(masks, ["background", "cat", "sea lion"])


def _segments(root: Path) -> Answer:
    samples, masks = [], {}
    for i in range(5):
        noise(root / f"in/p{i}.jpg", i)
        ids = random_ids(i, 3, GOLDEN_SIZE)
        Image.fromarray(_objects(ids)).save(root / f"in/p{i}_label_ground-truth.png")
        samples.append(test_segments_ai.sample(test_segments_ai.label(test_segments_ai.OBJECTS), f"p{i}.jpg"))
        masks[f"p{i}"] = _by_table(ids, [255, 1, 0])
    written(root / "in/flowers-v1.0.json", test_segments_ai.release(samples))
    return Answer(masks, ["cat", "road"])


def _objects(ids: Ids) -> Any:
    """No object, number 700 and number 3."""
    return np.array([0, 700, 3], np.uint16)[ids]


def _hasty(root: Path) -> Answer:
    classes = [
        {"png_index": 2, "class_name": "cat", "color": "#010203ff", "class_type": "object"},
        {"png_index": 7, "class_name": "sky", "color": "#040506", "class_type": "background"},
    ]
    written(root / "in/label_classes.json", classes)
    (root / "in/set").mkdir()
    masks = {}
    for i in range(5):
        noise(root / f"pictures/set/p{i}.png", i)
        ids = random_ids(i, 3, GOLDEN_SIZE)
        Image.fromarray(_by_table(ids, [0, 2, 7])).save(root / f"in/set/p{i}.png")
        masks[f"p{i}"] = ids
    return Answer(masks, ["background", "cat", "sky"], ("--images", str(root / "pictures")))


def _cityscapes(root: Path) -> Answer:
    ids = laid_out.cityscapes_folders(root / "in")
    table = np.full(34, 255)
    table[laid_out.TRAINED] = np.arange(19)
    cities = {"train": "aachen", "val": "lindau"}
    masks = {f"{cities[split]}_000000_000019_leftImg8bit": _by_table(ids[split], table) for split in cities}
    names = (
        "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,person,rider,car,"
        "truck,bus,train,motorcycle,bicycle"
    )
    return Answer(masks, names.split(","))


def _voc(root: Path) -> Answer:
    ids = laid_out.voc_devkit(root / "in")
    names = (
        "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,"
        "pottedplant,sheep,sofa,train,tvmonitor"
    )
    return Answer({"2007_000032": ids, "2007_000033": ids}, names.split(","))


def _loveda(root: Path) -> Answer:
    ids = laid_out.loveda_folders(root / "in")
    masks = {str(i): _by_table(mask, [255, *range(7)]) for i, mask in enumerate(ids.values())}
    return Answer(masks, ["background", "building", "road", "water", "barren", "forest", "agricultural"])


def _isprs(root: Path, picture: str, mask: str) -> Answer:
    masks = {}
    for i in range(5):
        ids = laid_out.isprs_pair(root / "in", picture.format(i), mask.format(i), i)
        masks[Path(picture.format(i)).stem] = _by_table(ids, [0, 1, 2, 3, 4, 5, 255])
    names = ["impervious surface", "building", "low vegetation", "tree", "car", "clutter"]
    return Answer(masks, names)


def _geojson(root: Path) -> Answer:
    """Houses and roads in degrees, over rasters in metres that lie side by side."""
    features, places = [], []
    for i in range(5):
        places.append(place_at(test_vectors.TRANSFORM, 40 * i, 0))
        for geometry, kind in ((test_vectors.ROAD, "road"), (test_vectors.HOUSE, "house")):
            features.append((test_vectors.in_degrees(_moved(geometry, 40 * i)), {"class": kind}))
    written(root / "in/labels.geojson", test_vectors.collection(*features))
    back = transform_geom("EPSG:4326", test_vectors.UTM, [geometry for geometry, _ in features])
    values = [1 if values["class"] == "house" else 2 for _, values in features]
    return Answer(burnt(root, places, list(zip(back, values, strict=True))), ["background", "house", "road"])


def place_at(first: Affine, east: float, north: float) -> Affine:
    """A place beside another."""
    return Affine(first.a, first.b, first.c + east, first.d, first.e, first.f + north)


def _moved(geometry: Any, metres: float) -> Any:
    def moved(points: Any) -> Any:
        return [points[0] + metres, points[1]] if isinstance(points[0], float) else [moved(one) for one in points]

    return {**geometry, "coordinates": moved(geometry["coordinates"])}


def degrees_over_rasters(root: Path) -> Answer:
    """Rasters in metres, and what the golden polygons in degrees are on them."""
    outlines = [
        {"type": "MultiPolygon", "coordinates": parts} for parts in json.loads((GOLDEN / "layers.json").read_text())
    ]
    back = transform_geom("EPSG:4326", test_vectors.UTM, outlines)
    wide = Affine(60, 0, test_vectors.CORNER[0] - 60, 0, -60, test_vectors.CORNER[1] + 1500)
    places = [place_at(wide, -90 * i, 40 * i) for i in range(5)]
    return Answer(burnt(root, places, [(back[0], 1), (back[1], 2)]), ["background", "house", "road"])


def _geopackage(root: Path) -> Answer:
    (root / "in").mkdir()
    (root / "in/layers.gpkg").write_bytes(gzip.decompress((GOLDEN / "layers.gpkg.gz").read_bytes()))
    return degrees_over_rasters(root)


def burnt(root: Path, places: list[Affine], pairs: list[tuple[Any, int]]) -> dict[str, Ids]:
    """Write a raster at each place; gives what one call of rasterio draws on each."""
    masks = {}
    for i, place in enumerate(places):
        pixels = np.random.default_rng(i).integers(0, 256, (*test_vectors.SIZE, 3), dtype=np.uint8)
        write_raster(root / f"in/p{i}.tif", pixels, crs=test_vectors.UTM, transform=place, photometric="rgb")
        masks[f"p{i}"] = np.asarray(rasterize(pairs, test_vectors.SIZE, transform=place, dtype="uint8"))
        assert set(np.unique(masks[f"p{i}"]).tolist()) == {0, 1, 2}
    return masks


BENCHMARK = "archives of the ISPRS 2D benchmark"
CASES = (
    Case("cvat_masks", "Segmentation mask 1.1", "datumaro's voc/exporter.py and labelmap.txt", AS_STORED, _cvat),
    Case("roboflow_masks", "Semantic Segmentation Masks", "Roboflow's export", AS_STORED, _roboflow),
    Case("segments_ai", "bitmaps of objects", "segments-ai's dataset.py", AS_STORED, _segments),
    Case("hasty", "PNG images", "docs.cloudfactory.com/export-formats", AS_STORED, _hasty),
    Case(
        "cityscapes",
        "gtFine",
        "cityscapesscripts' csHelpers.py",
        "trainId of cityscapesscripts' labels.py",
        _cityscapes,
    ),
    Case("voc", "VOCdevkit", "archive of Pascal VOC 2012", AS_STORED, _voc),
    Case("loveda", "Train and Val", "LoveDA's README", AS_STORED, _loveda),
    Case(
        "isprs",
        "Potsdam",
        BENCHMARK,
        AS_STORED,
        lambda root: _isprs(root, "2_Ortho_RGB/top_potsdam_2_{}_RGB.tif", "5_Labels_all/top_potsdam_2_{}_label.tif"),
    ),
    Case(
        "isprs",
        "Vaihingen",
        BENCHMARK,
        AS_STORED,
        lambda root: _isprs(root, "top/top_mosaic_09cm_area{}.tif", "gts_for_participants/top_mosaic_09cm_area{}.tif"),
    ),
    Case("vectors", "GeoJSON in degrees", "RFC 7946", "`rasterize` of rasterio", _geojson),
    Case("vectors", "GeoPackage in degrees", "pyogrio 0.13 (GDAL)", "`rasterize` of rasterio", _geopackage),
)
