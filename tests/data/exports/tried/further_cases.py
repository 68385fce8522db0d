"""Exports of further versions and kinds of the tools, and of further data sets."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..formats import (
    test_cvat_colours,
    test_datumaro,
    test_kaggle_rle,
    test_label_studio,
    test_label_studio_bitmasks,
    test_labelme_xml,
    test_supervisely,
    test_via_others,
)
from ..making import GOLDEN, written
from ..prepared import random_ids, save
from .case import GOLDEN_SIZE, Answer, Case, Ids, answers_in_pairs, coco_polygons, coco_runs, layers, noise
from .raster_cases import AS_STORED, degrees_over_rasters
from .shape_cases import PYCOCOTOOLS

CATS = ["background", "cat", "dog"]


def _upright(pictures: int) -> list[tuple[str, Any, Any, Ids]]:
    """Version 3 turns no ellipse."""
    pairs = answers_in_pairs("via", 2 * pictures)
    kept = [pair for pair in pairs if not any(one["shape"].get("theta") for one in pair[1:3])]
    assert len(kept) >= pictures
    return kept[:pictures]


def _via_three(root: Path) -> Answer:
    pictures, masks = {}, {}
    for i, (name, first, second, ids) in enumerate(_upright(6)):
        noise(root / f"in/{name}.jpg", i)
        shapes = [test_via_others.numbers(one["shape"]) for one in (first, second)]
        pictures[f"{name}.jpg"] = [(shapes[0], "1"), (shapes[1], "2")]
        masks[name] = ids
    written(root / "in/via_project_1Jan2024_10h00m00s.json", test_via_others.project(pictures))
    return Answer(masks, CATS)


def _via_table(root: Path) -> Answer:
    rows, masks = [test_via_others.COLUMNS], {}
    for i, (name, first, second, ids) in enumerate(answers_in_pairs("via", 6)):
        size = noise(root / f"in/{name}.jpg", i).stat().st_size
        for kind, answer in (("cat", first), ("dog", second)):
            rows.append(test_via_others.row(f"{name}.jpg", size, answer["shape"], kind=kind))
        masks[name] = ids
    written(root / "in/via_export_csv.csv", "\n".join(rows))
    return Answer(masks, CATS)


def _sartorius(root: Path) -> Answer:
    rows, masks = ["id,annotation,width,height,cell_type,plate_time"], {}
    for i, (name, size, _, mask) in enumerate(coco_runs()):
        noise(root / f"in/train/{name}.png", i, size)
        cell = "astro" if i % 2 else "cort"
        rows.append(f"{name},{test_kaggle_rle.runs(mask, 'C')},{size[1]},{size[0]},{cell},11h30m00s")
        masks[name] = layers(mask & (i % 2 == 1), mask & (i % 2 == 0))
    written(root / "in/train.csv", "\n".join(rows))
    return Answer(masks, ["background", "astro", "cort"])


def _uw_madison(root: Path) -> Answer:
    rows, masks = ["id,class,segmentation"], {}
    for i, (_, size, _, mask) in enumerate(coco_runs()):
        name = f"slice_{i:04d}_{size[1]}_{size[0]}_1.50_1.50"
        noise(root / f"in/train/case{i}/case{i}_day1/scans/{name}.png", i, size)
        for kind, there in (("large_bowel", i % 2 == 0), ("stomach", i % 2 == 1)):
            rows.append(f"case{i}_day1_slice_{i:04d},{kind},{test_kaggle_rle.runs(mask, 'C') if there else ''}")
        masks[name] = layers(mask & (i % 2 == 0), mask & (i % 2 == 1))
    written(root / "in/train.csv", "\n".join(rows))
    return Answer(masks, ["background", "large_bowel", "stomach"])


def _bitmasks(root: Path) -> Answer:
    tasks, masks = [], {}
    for i in range(5):
        ids = random_ids(i, 3, GOLDEN_SIZE)
        noise(root / f"pictures/p{i}.jpg", i)
        values = [test_label_studio_bitmasks.bitmask((ids == value).astype(np.uint8)) for value in (1, 2)]
        values[1]["bitmasklabels"] = ["dog"]
        results = [test_label_studio.result(one, "bitmasklabels", str(j)) for j, one in enumerate(values)]
        address = f"/data/upload/1/0a1b2c3{i}-p{i}.jpg"
        tasks.append(test_label_studio.task([test_label_studio.annotation(results)], address, i))
        masks[f"p{i}"] = ids
    written(root / "in/project-1-at-2025-05-01.json", tasks)
    return Answer(masks, CATS, ("--images", str(root / "pictures")))


def _alpha_masks(root: Path) -> Answer:
    written(root / "in/meta.json", test_supervisely.META)
    masks = {}
    for i in range(5):
        noise(root / f"in/ds/img/p{i}.jpg", i)
        ids = random_ids(i, 3, GOLDEN_SIZE)
        things = [
            test_supervisely.alpha(title, (ids == value) * np.uint8(90)) for value, title in ((1, "cat"), (2, "dog"))
        ]
        written(root / f"in/ds/ann/p{i}.jpg.json", test_supervisely.annotation(things))
        masks[f"p{i}"] = ids
    return Answer(masks, CATS)


def _cvat(root: Path, layout: str) -> Answer:
    """Two subsets, in each of which a picture has no shape and so no mask."""
    subsets = {"train": ("a", "day 1/b", "c"), "validation": ("d", "e")}
    ids = test_cvat_colours.export_of(root / "in", layout, subsets)
    masks = {name.rpartition("/")[2]: mask for name, mask in ids.items()}
    empty = np.zeros_like(masks["a"])
    return Answer(masks | {"c": empty, "e": empty}, ["background", "car", "road sign"])


def _labelme_xml(root: Path) -> Answer:
    masks = {}
    for i, (name, size, parts, mask) in enumerate(coco_polygons(rings=1)):
        noise(root / f"in/default/{name}.png", i, size)
        kind = "car" if i % 2 else "road"
        if i < 3:
            points = [tuple(pair) for pair in np.reshape(parts[0], (-1, 2)).tolist()]
            inside = test_labelme_xml.polygon(*points)
        else:
            save(root / f"in/default/Masks/{name}_mask_0.png", np.stack([mask * np.uint8(255)] * 4, -1))
            inside = test_labelme_xml.mask(f"{name}_mask_0.png")
        said = test_labelme_xml.SIZE.format(*size)
        content = test_labelme_xml.annotation(test_labelme_xml.thing(kind, inside), name=f"{name}.png", size=said)
        written(root / f"in/default/{name}.xml", content)
        masks[name] = layers(mask & (i % 2 == 1), mask & (i % 2 == 0))
    return Answer(masks, ["background", "car", "road"])


def _datumaro(root: Path) -> Answer:
    items, masks = [], {}
    polygons, runs = list(coco_polygons(3, rings=1)), list(coco_runs(3))
    for i, (_, size, shape, mask) in enumerate([*polygons, *runs]):
        noise(root / f"in/images/default/p{i}.png", i, size)
        label = 1 + i % 2
        if i < 3:
            given = test_datumaro.entry("polygon", label, points=shape[0])
        else:
            given = test_datumaro.entry("mask", label, rle={"counts": shape["counts"], "size": list(size)})
        items.append(test_datumaro.item(given, name=f"p{i}", size=size))
        masks[f"p{i}"] = layers(mask & (label == 1), mask & (label == 2))
    written(root / "in/annotations/default.json", test_datumaro.subset(*items))
    return Answer(masks, ["background", "car", "road sign"])


def _shapefile(root: Path) -> Answer:
    (root / "in").mkdir()
    for suffix in (".shp", ".dbf", ".prj", ".cpg"):
        shutil.copy(GOLDEN / "shapes" / f"areas{suffix}", root / f"in/areas{suffix}")
    return degrees_over_rasters(root)


def _bdd100k(root: Path) -> Answer:
    masks = {}
    for i, split in enumerate(("train", "train", "val")):
        ids = random_ids(i, 19, GOLDEN_SIZE)
        ids[3] = 255
        noise(root / f"in/bdd100k/images/10k/{split}/p{i}.jpg", i)
        save(root / f"in/bdd100k/labels/sem_seg/masks/{split}/p{i}.png", ids)
        masks[f"p{i}"] = ids
    names = (
        "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,person,rider,car,"
        "truck,bus,train,motorcycle,bicycle"
    )
    return Answer(masks, names.split(","))


def _ade20k(root: Path) -> Answer:
    from mmseg.datasets import ADE20KDataset

    masks = {}
    for i, (folder, split) in enumerate((("training", "train"), ("training", "train"), ("validation", "val"))):
        ids = random_ids(i, 151, GOLDEN_SIZE)
        name = f"ADE_{split}_0000000{i}"
        noise(root / f"in/ADEChallengeData2016/images/{folder}/{name}.jpg", i)
        save(root / f"in/ADEChallengeData2016/annotations/{folder}/{name}.png", ids)
        masks[name] = np.where(ids == 0, 255, ids.astype(int) - 1).astype(np.uint8)
    return Answer(masks, list(ADE20KDataset.METAINFO["classes"]))


STORED = "the pixels that were stored"
VIA = "its COCO export, pycocotools 2.0.11"
DATUMARO = "as CVAT exports with cvat-ai/datumaro"
CASES = (
    Case("via", "version 3", "_via_data.js and _via_metadata.js of via-3.x.y", VIA, _via_three),
    Case("via", "CSV", "`pack_via_metadata` of via.js 2.x", VIA, _via_table),
    Case("kaggle_rle", "id, annotation", "train.csv of Sartorius", STORED, _sartorius),
    Case("kaggle_rle", "id, class, segmentation", "train.csv of UW-Madison", STORED, _uw_madison),
    Case("label_studio", "bitmasks", "BitmaskRegion.jsx", STORED, _bitmasks),
    Case("supervisely", "alpha masks", "the SDK's geometry/alpha_mask.py", STORED, _alpha_masks),
    *(
        Case("cvat_colours", layout, DATUMARO, AS_STORED, partial(_cvat, layout=layout))
        for layout in test_cvat_colours.LAYOUTS
    ),
    Case("labelme_xml", "polygons and masks", f"LabelMe 3.0, {DATUMARO}", PYCOCOTOOLS, _labelme_xml),
    Case("datumaro", "polygons and masks", f"Datumaro 1.0, {DATUMARO}", PYCOCOTOOLS, _datumaro),
    Case("vectors", "shapefile in degrees", "pyogrio 0.13 (GDAL)", "`rasterize` of rasterio", _shapefile),
    Case("bdd100k", "sem_seg", "doc.bdd100k.com/format.html", AS_STORED, _bdd100k),
    Case("ade20k", "ADEChallengeData2016", "ADEChallengeData2016.zip", AS_STORED, _ade20k),
)
