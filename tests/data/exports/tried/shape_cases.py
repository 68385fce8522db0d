"""Exports that hold shapes and run lengths."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..formats import (
    test_coco,
    test_cvat_xml,
    test_hasty,
    test_label_studio,
    test_labelme,
    test_roboflow_coco,
    test_segments_ai,
    test_supervisely,
    test_via,
    test_yolo,
)
from ..formats.answers import pixels
from ..making import written
from .case import GOLDEN_SIZE, Answer, Case, answers_in_pairs, coco_polygons, coco_runs, layers, noise

PYCOCOTOOLS = "pycocotools 2.0.11"


def _coco(root: Path, file: str, kind: str) -> Answer:
    """Cats and dogs in turn, an object a picture."""
    images, objects, masks = [], [], {}
    drawn = coco_polygons() if kind == "polygons" else coco_runs()
    for i, (name, size, shape, mask) in enumerate(drawn):
        noise(root / f"in/images/{name}.png", i, size)
        images.append({"id": i, "file_name": f"{name}.png", "height": size[0], "width": size[1]})
        if kind != "polygons":
            shape = {"size": list(size), "counts": shape["runs" if kind == "crowds" else "counts"]}
        dog = i % 2
        objects.append(test_coco.entry(shape, 44 if dog else 7, i, id=i, iscrowd=int(kind == "crowds")))
        masks[name] = layers(mask & (not dog), mask & bool(dog))
    categories = [{"id": 44, "name": "dog"}, {"id": 7, "name": "cat"}]
    written(root / "in/annotations" / file, test_coco.of(*objects, images=images, categories=categories))
    return Answer(masks, ["background", "cat", "dog"])


def _roboflow_coco(root: Path) -> Answer:
    test_roboflow_coco.export_of(root / "in")
    masks = {}
    polygons = coco_polygons()
    for split in ("train", "valid"):
        file = root / "in" / split / "_annotations.coco.json"
        content = json.loads(file.read_text())
        for image, thing in zip(content["images"], content["annotations"], strict=True):
            _, size, parts, mask = next(polygons)
            image["height"], image["width"] = size
            thing["segmentation"], thing["category_id"] = parts, 1 + image["id"]
            noise(root / "in" / split / image["file_name"], size[0] * size[1], size)
            masks[Path(image["file_name"]).stem] = layers(mask & (image["id"] == 0), mask & (image["id"] == 1))
        written(file, content)
    return Answer(masks, ["background", "road", "car"])


def _cvat_xml(root: Path) -> Answer:
    masks, images = {}, ""
    for i, (name, size, parts, mask) in enumerate(coco_polygons(rings=1)):
        noise(root / f"in/images/{name}.png", i, size)
        points = ";".join(f"{x},{y}" for x, y in np.reshape(parts[0], (-1, 2)).tolist())
        shape = test_cvat_xml.POLYGON.format("car" if i % 2 else "road", points, 0)
        images += f'<image id="{i}" name="{name}.png" width="{size[1]}" height="{size[0]}">{shape}</image>'
        masks[name] = layers(mask & (i % 2 == 0), mask & (i % 2 == 1))
    head = test_cvat_xml.xml().partition("<image")[0]
    written(root / "in/annotations.xml", f"{head}{images}</annotations>\n")
    return Answer(masks, ["background", "road", "car"])


def _cvat_brush(root: Path) -> Answer:
    """Runs along the rows of a box, of which the first is outside."""
    masks, images = {}, ""
    for i in range(5):
        noise(root / f"in/images/p{i}.png", i)
        ids, shapes = np.zeros(GOLDEN_SIZE, np.uint8), ""
        for value, (name, left, top) in enumerate((("road", 2, 3), ("car", 9, 7)), 1):
            mask = np.random.default_rng(10 * i + value).random((9, 14)) < 0.6
            edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.ravel().astype(int), [2]))))
            runs = ", ".join(map(str, np.diff(edges, prepend=0).tolist()))
            place = f'left="{left}" top="{top}" width="14" height="9"'
            shapes += f'<mask label="{name}" source="manual" occluded="0" rle="{runs}" {place} z_order="0"></mask>'
            ids[top : top + 9, left : left + 14][mask] = value
        images += f'<image id="{i}" name="p{i}.png" width="30" height="20">{shapes}</image>'
        masks[f"p{i}"] = ids
    head = test_cvat_xml.xml().partition("<image")[0]
    written(root / "in/annotations.xml", f"{head}{images}</annotations>\n")
    return Answer(masks, ["background", "road", "car"])


def _yolo(root: Path) -> Answer:
    written(root / "in/data.yaml", test_yolo.YAML)
    masks = {}
    for i in range(6):
        split = "val" if i == 5 else "train"
        rng = np.random.default_rng(i)
        noise(root / f"in/images/{split}/p{i}.jpg", i)
        big, small = rng.uniform(0, 1, (5, 2)), rng.uniform(0.3, 0.7, (3, 2))
        lines = [f"{kind} {' '.join(map(str, points.ravel().round(6)))}" for kind, points in ((0, big), (2, small))]
        written(root / f"in/labels/{split}/p{i}.txt", "\n".join(lines[:: 1 if i % 2 else -1]) + "\n")
        drawn = [test_yolo.polygon2mask(line, *GOLDEN_SIZE) > 0 for line in lines]
        assert drawn[0].sum() > drawn[1].sum()
        masks[f"p{i}"] = layers(*drawn)
    return Answer(masks, ["background", "road", "car"])


def _label_studio(root: Path, brush: bool) -> Answer:
    tasks, masks = [], {}
    for i, (name, *shapes, ids) in enumerate(
        answers_in_pairs("label_studio_brush" if brush else "label_studio_polygons")
    ):
        noise(root / f"pictures/{name}.jpg", i)
        results = []
        for kind, shape in zip(("cat", "dog"), shapes, strict=True):
            if brush:
                value = {"format": "rle", "rle": shape["rle"], "brushlabels": [kind]}
                results.append(test_label_studio.result(value, "brushlabels", kind))
            else:
                results.append(test_label_studio.polygon(kind, shape["points"], number=kind))
        file = f"0a1b2c3{i}-{name}.jpg"
        upload = {"file_upload": file}
        annotation = test_label_studio.annotation(results)
        tasks.append(test_label_studio.task([annotation], f"/data/upload/1/{file}", i, **upload))
        masks[name] = ids
    written(root / "in/project-1-at-2024-05-01.json", tasks)
    return Answer(masks, ["background", "cat", "dog"], ("--images", str(root / "pictures")))


def _labelme(root: Path) -> Answer:
    masks = {}
    for i, (name, first, second, ids) in enumerate(answers_in_pairs("labelme", 20)):
        noise(root / f"in/{name}.jpg", i)
        shapes = [{**answer["shape"], "label": label} for answer, label in ((first, "cat"), (second, "dog"))]
        written(root / f"in/{name}.json", test_labelme.record(shapes, f"{name}.jpg"))
        masks[name] = ids
    return Answer(masks, ["background", "cat", "dog"])


def _via(root: Path) -> Answer:
    files, masks = [], {}
    for i, (name, first, second, ids) in enumerate(answers_in_pairs("via", 12)):
        size = noise(root / f"in/{name}.jpg", i).stat().st_size
        regions = [test_via.region(first["shape"], kind="1"), test_via.region(second["shape"], kind="2")]
        files.append(test_via.file(regions, f"{name}.jpg", size))
        masks[name] = ids
    kind = {"type": "dropdown", "description": "", "options": {"1": "cat", "2": "dog"}, "default_options": {}}
    written(root / "in/via_project.json", test_via.project(files, {"kind": kind}))
    return Answer(masks, ["background", "cat", "dog"])


def _supervisely(root: Path) -> Answer:
    written(root / "in/meta.json", test_supervisely.META)
    masks = {}
    for i, (name, first, second, ids) in enumerate(answers_in_pairs("supervisely", 20)):
        noise(root / f"in/ds/img/{name}.jpg", i)
        things = [{"classTitle": "cat", **first["object"]}, {"classTitle": "dog", **second["object"]}]
        written(root / f"in/ds/ann/{name}.jpg.json", test_supervisely.annotation(things))
        masks[name] = ids
    return Answer(masks, ["background", "cat", "dog"])


def _segments_vectors(root: Path) -> Answer:
    samples, masks = [], {}
    for i, (name, size, parts, mask) in enumerate(coco_polygons(rings=1)):
        noise(root / f"in/{name}.jpg", i, size)
        points = np.reshape(parts[0], (-1, 2)).tolist()
        thing = {"id": 1, "category_id": 9 if i % 2 else 4, "type": "polygon", "points": points}
        samples.append(test_segments_ai.sample(test_segments_ai.label([thing]), f"{name}.jpg"))
        masks[name] = layers(mask & (i % 2 == 0), mask & (i % 2 == 1))
    written(root / "in/flowers-v1.0.json", test_segments_ai.release(samples, "vector"))
    return Answer(masks, ["background", "cat", "road"])


def _hasty(root: Path) -> Answer:
    images, masks = [], {}
    for i, (name, first, second, ids) in enumerate(answers_in_pairs("hasty")):
        noise(root / f"in/set/{name}.jpg", i)
        labels: list[Any] = []
        for order, (kind, answer) in enumerate((("cat", first), ("sky", second))):
            left, top, right, bottom = answer["bbox"]
            runs = test_hasty.runs_of(pixels(answer["rows"])[top:bottom, left:right])
            # The file is not in the order in which shapes lie on each other.
            labels.insert(0, test_hasty.label(kind, answer["bbox"], mask=runs, z_index=order))
        images.append(test_hasty.image(labels, f"{name}.jpg"))
        masks[name] = ids
    written(root / "in/export.json", test_hasty.project(images))
    return Answer(masks, ["background", "cat", "sky"])


def _kaggle(root: Path, column: str) -> Answer:
    rows, masks = f"{column},EncodedPixels\n", {}
    named = column == "Image_Label"
    for i, (name, size, case, mask) in enumerate(coco_runs()):
        noise(root / f"in/train_images/{name}.jpg", i, size)
        starts = np.cumsum(case["runs"])[::2] + 1
        pairs = zip(starts.tolist(), case["runs"][1::2], strict=False)
        fish = named and i % 2 == 0
        rows += (
            f"{name}.jpg{('_Fish' if fish else '_Sugar') if named else ''},{' '.join(f'{s} {n}' for s, n in pairs)}\n"
        )
        masks[name] = layers(mask & (fish or not named), mask & named & (not fish))
    written(root / "in/train.csv", rows)
    return Answer(masks, ["background", "Fish", "Sugar"] if named else ["background", "object"])


COCO, CVAT_COCO = "cocodataset.org/#format-data", "datumaro's coco/exporter.py, which CVAT exports COCO 1.0 with"
LABEL_STUDIO = "labelstud.io/guide/export"
CASES = (
    Case("coco", "polygons", COCO, PYCOCOTOOLS, lambda root: _coco(root, "instances.json", "polygons")),
    Case("coco", "compressed run lengths", COCO, PYCOCOTOOLS, lambda root: _coco(root, "instances.json", "runs")),
    Case("coco", "crowds", CVAT_COCO, PYCOCOTOOLS, lambda root: _coco(root, "instances_default.json", "crowds")),
    Case("roboflow_coco", "COCO Segmentation", "Roboflow's export", PYCOCOTOOLS, _roboflow_coco),
    Case("cvat_xml", "polygons", "cvat/apps/dataset_manager/formats/cvat.py", PYCOCOTOOLS, _cvat_xml),
    Case(
        "cvat_xml",
        "brush masks",
        "cvat/apps/dataset_manager/formats/cvat.py",
        "the pixels that were stored",
        _cvat_brush,
    ),
    Case(
        "yolo",
        "segments",
        "docs.ultralytics.com/datasets/segment",
        "`polygons2masks_overlap` of ultralytics, OpenCV's `fillPoly`",
        _yolo,
    ),
    Case(
        "label_studio",
        "polygons",
        LABEL_STUDIO,
        "`convert_to_coco` of label-studio-sdk 2.1.2, pycocotools 2.0.11",
        lambda root: _label_studio(root, brush=False),
    ),
    Case(
        "label_studio",
        "brush",
        LABEL_STUDIO,
        "`decode_rle` of label-studio-sdk 2.1.2",
        lambda root: _label_studio(root, brush=True),
    ),
    Case("labelme", "all shapes", "labelme/_label_file.py", "`shapes_to_label` of labelme 6.3.1", _labelme),
    Case("via", "version 2", "via.js 2.0.12", "its COCO export, pycocotools 2.0.11", _via),
    Case(
        "supervisely",
        "figures and bitmaps",
        "docs.supervisely.com, annotation format",
        "`draw` of supervisely 6.74.51, OpenCV 4.12",
        _supervisely,
    ),
    Case("segments_ai", "polygons", "segments-ai's dataset.py", PYCOCOTOOLS, _segments_vectors),
    Case("hasty", "JSON 1.1", "docs.cloudfactory.com/export-formats", "`rle_decode` of hasty 0.3.12", _hasty),
    Case(
        "kaggle_rle",
        "ImageId",
        "train.csv of Airbus Ship Detection",
        PYCOCOTOOLS,
        lambda root: _kaggle(root, "ImageId"),
    ),
    Case(
        "kaggle_rle",
        "Image_Label",
        "train.csv of Understanding Clouds",
        PYCOCOTOOLS,
        lambda root: _kaggle(root, "Image_Label"),
    ),
)
