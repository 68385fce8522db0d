"""Segments.ai's releases: a JSON file, and beside it a PNG of object ids for each picture.

The layout is that of its SDK (https://github.com/segments-ai/segments-ai, dataset.py and utils.py): the JSON file says
which class each object of ``x_label_ground-truth.png`` is of. Where these files are not there, the masks of classes
that the SDK exports (``x_label_ground-truth_semantic.png``) are taken. Polygons and boxes of vector tasks are drawn by
COCO's own rasteriser, later ones on top. In masks 0 is what nobody labelled, which is ignored; in vector tasks a pixel
without an object is background.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..coco_polygon import coco_polygon
from ..drawing import Patch, Shape, check_reach, labels_of, points_of
from ..export import UNLABELLED, Annotated, ClassLabel, Drawn, Export, Labels, SourceError, Unlabelled, whole_map
from ..fields import as_list, as_mapping, as_name, as_text, as_whole, check_size
from ..find_pictures import by_stem, uploaded_names
from ..id_pngs import read_ids
from ..named_pictures import NamedPictures
from ..notes import Notes
from ..outlines import box_outline
from ..picture_index import PictureIndex, is_picture
from ..source import Source, fitting_json

SUMMARY = "Segments.ai: a release's JSON with the PNGs of object ids that its SDK downloads"
_NAME = "segments_ai"
_BITMAPS = ("segmentation-bitmap", "segmentation-bitmap-highres")
_VECTORS = ("vector", "bboxes", "keypoints")
# Of labels that people have finished.
_FINISHED = ("LABELED", "REVIEWED", "VERIFIED", "REVIEWING_IN_PROGRESS")
_USUAL = "ground-truth"


def recognise(source: Source) -> str | None:
    """What tells that files are Segments.ai's."""
    name = fitting_json(source, _fits)
    return None if name is None else f"{name} has a 'dataset' with 'task_type' and 'samples'"


def _fits(found: Any) -> bool:
    dataset = found.get("dataset") if isinstance(found, dict) else None
    return isinstance(dataset, dict) and "task_type" in dataset and isinstance(dataset.get("samples"), list)


class _Release(NamedTuple):
    file: str
    task: str
    labelset: str
    place: dict[int, int]
    masks: dict[str, list[str]]


def read(source: Source) -> Export:
    """Read a release.

    Raises:
        SourceError: It is damaged, of a task that has no areas, or its files are not there.
    """
    notes = Notes()
    files = [name for name in source.of_suffix(".json") if _fits(source.json(name))]
    if len(files) != 1:
        raise SourceError(
            f"{source.root} has {len(files)} releases of Segments.ai: {', '.join(files[:2]) or 'none'}. Name the "
            "folder of one, with the files that its SDK downloads."
        )
    dataset = as_mapping(source.json(files[0])["dataset"], f"'dataset' of {files[0]}")
    task = dataset.get("task_type")
    if task not in (*_BITMAPS, *_VECTORS):
        raise SourceError(f"{files[0]} is of a task {task!r}: {', '.join((*_BITMAPS, *_VECTORS))} were expected.")
    labels, place = _classes(dataset, files[0])
    masks: dict[str, list[str]] = {}
    for name in source.files if source.root.is_dir() else _beside(source):
        stem, found, rest = PurePosixPath(name).name.rpartition("_label_")
        if found and rest.lower().endswith(".png"):
            masks.setdefault(stem, []).append(name)
    release = _Release(files[0], task, _labelset(dataset, files[0]), place, masks)
    pictures = PictureIndex(source)
    same_stem = by_stem(pictures, {name for names in masks.values() for name in names})
    named_pictures = NamedPictures(pictures, notes)
    for number, value in enumerate(as_list(dataset["samples"], f"'samples' of {files[0]}"), start=1):
        sample = as_mapping(value, f"sample {number} of {files[0]}")
        named = as_text(sample.get("name"), f"'name' of sample {number} of {files[0]}")
        where = f"{named} in {files[0]}"
        path = _find(sample, named, pictures) or same_stem(_bare(named), where)
        if path is None:
            named_pictures.add_missing(named, where)
            continue
        drawer = _labels(source, release, sample, named, where, notes)
        named_pictures.add(path, Annotated(pictures.path(path), path, drawer, source=where))
    unlabelled: Unlabelled = "ignore" if task in _BITMAPS else "background"
    return named_pictures.export(_NAME, recognise(source), source, labels, unlabelled)


def _beside(source: Source) -> list[str]:
    return sorted(path.name for path in source.folder.iterdir() if path.is_file())


def _classes(dataset: dict[str, Any], file: str) -> tuple[tuple[ClassLabel, ...], dict[int, int]]:
    attributes = as_mapping(dataset.get("task_attributes"), f"'task_attributes' of {file}")
    labels: list[ClassLabel] = []
    place: dict[int, int] = {}
    for value in as_list(attributes.get("categories"), f"'categories' of {file}"):
        given = as_mapping(value, f"a category of {file}")
        name = as_name(given.get("name"), f"'name' of a category of {file}")
        number = as_whole(given.get("id"), f"'id' of the category {name!r} of {file}")
        if number in place:
            raise SourceError(f"{file} has two categories with the id {number}. Export it again.")
        place[number] = len(labels)
        labels.append(ClassLabel(name, _colour(given.get("color"))))
    return tuple(labels), place


def _colour(value: Any) -> tuple[int, int, int] | None:
    if not isinstance(value, list) or len(value) not in (3, 4):
        return None
    fine = all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value)
    return (value[0], value[1], value[2]) if fine else None


def _labelset(dataset: dict[str, Any], file: str) -> str:
    sets = as_list(dataset.get("labelsets"), f"'labelsets' of {file}")
    names = [
        as_text(as_mapping(one, f"a label set of {file}").get("name"), f"a label set's name of {file}") for one in sets
    ]
    if _USUAL in names or len(names) == 1:
        return _USUAL if _USUAL in names else names[0]
    raise SourceError(
        f"{file} has the label sets {', '.join(names) or 'none'}: one called {_USUAL!r}, or one alone, was expected."
    )


def _find(sample: dict[str, Any], named: str, pictures: PictureIndex) -> str | None:
    """The SDK calls a picture as the sample is called, with the suffix that its address has."""
    attributes = sample.get("attributes")
    image = attributes.get("image") if isinstance(attributes, dict) else None
    address = image.get("url") if isinstance(image, dict) else None
    suffixes = [PurePosixPath(name).suffix for name in uploaded_names(address)] if isinstance(address, str) else []
    for name in dict.fromkeys([*(_bare(named) + suffix for suffix in suffixes), named]):
        if is_picture(name) and (found := pictures.find(name)) is not None:
            return found
    return None


def _bare(named: str) -> str:
    return named[: len(named) - len(PurePosixPath(named).suffix)]


def _labels(
    source: Source, release: _Release, sample: dict[str, Any], named: str, where: str, notes: Notes
) -> Labels | None:
    given = as_mapping(sample.get("labels") or {}, f"'labels' of {where}").get(release.labelset)
    if given is None:
        notes.add("Samples without labels", where)
        return None
    label = as_mapping(given, f"the labels of {where}")
    if (status := label.get("label_status", _FINISHED[0])) not in _FINISHED:
        notes.add(f"Labels with the status {status!r} are left out", where)
        return None
    attributes = as_mapping(label.get("attributes"), f"the 'attributes' of the labels of {where}")
    annotations = [
        as_mapping(one, f"an annotation of {where}")
        for one in as_list(attributes.get("annotations"), f"the 'annotations' of {where}")
    ]
    classes = [_class_of(one, release, where) for one in annotations]
    if release.task in _VECTORS:
        shapes = [
            Shape(place, pixels)
            for place, one in zip(classes, annotations, strict=True)
            if (pixels := _pixels(one, where, notes)) is not None
        ]
        return labels_of(shapes, where)
    ids = [as_whole(one.get("id"), f"'id' of an annotation of {where}") for one in annotations]
    path, semantic = _mask(source, release, named, where)
    table = release.place if semantic else dict(zip(ids, classes, strict=True))
    return whole_map(lambda size: _mapped(path, table, size))


def _class_of(annotation: dict[str, Any], release: _Release, where: str) -> int:
    number = as_whole(annotation.get("category_id"), f"'category_id' of an annotation of {where}")
    if number not in release.place:
        raise SourceError(f"{where} has an object of category {number}, which {release.file} does not name.")
    return release.place[number]


def _mask(source: Source, release: _Release, named: str, where: str) -> tuple[Path, bool]:
    """The file of a sample's object ids, or else of its classes."""
    bare = _bare(named)
    stem = PurePosixPath(bare).name
    for end, semantic in ((".png", False), ("_instance.png", False), ("_semantic.png", True)):
        last = f"{stem}_label_{release.labelset}{end}"
        found = [name for name in release.masks.get(stem, []) if PurePosixPath(name).name == last]
        whole = [name for name in found if name == last or name.endswith(f"{bare}_label_{release.labelset}{end}")]
        if len(whole or found) == 1:
            return source.path((whole or found)[0]), semantic
        if found:
            raise SourceError(f"{where}: {found[0]} and {found[1]} may be its mask. Take one of them away.")
    raise SourceError(
        f"{where} is labelled, but {stem}_label_{release.labelset}.png is not there. Download it with the SDK: "
        "SegmentsDataset(release) puts it beside the pictures."
    )


def _mapped(path: Path, table: dict[int, int], size: tuple[int, int]) -> Drawn:
    ids = read_ids(path)
    check_size((ids.shape[0], ids.shape[1]), size, f"The labels in {path}")
    values, inverse = np.unique(ids, return_inverse=True)
    unknown = [value for value in values.tolist() if value and value not in table]
    if unknown:
        raise SourceError(
            f"{path} holds {unknown[0]}, which the release does not name. Take the JSON file and the PNGs of one "
            "release."
        )
    mapped: NDArray[np.uint8] = np.array(
        [table.get(value, UNLABELLED) if value else UNLABELLED for value in values], np.uint8
    )
    return Drawn(mapped[inverse].reshape(ids.shape))


def _pixels(annotation: dict[str, Any], where: str, notes: Notes) -> Callable[[tuple[int, int]], Patch] | None:
    kind = annotation.get("type")
    what = f"object {annotation.get('id')} of {where}"
    if kind not in ("polygon", "bbox"):
        notes.add(f"Objects of type {kind!r} are no areas and are left out", what)
        return None
    points = points_of(annotation.get("points"), what)
    if kind == "bbox" and len(points) == 2:
        low, high = points.min(0), points.max(0)
        points = box_outline(*low, *(high - low))
    check_reach(points, what)
    if len(points) < 3 or not (np.ptp(points, axis=0) > 0).all():
        notes.add("Objects of no extent are left out", what)
        return None
    return lambda size: coco_polygon([points], size)
