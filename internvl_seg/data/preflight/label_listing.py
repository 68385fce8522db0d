"""Which images the data sets of a classifier name, and of which classes they are."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from ...classification.layout import LayoutError
from ..archives import ArchiveError
from ..folder_pairs import UNREAD
from ..image_tree import ImageTree, folders_of
from ..scanning import is_junk
from .findings import Finding
from .listing import Leaf, Listing, list_each
from .loading import Loader
from .reading import Looked, labels_of

_FOLDERS = "see what is said of it, and docs/classification.md"
_LOOSE = "convert them to PNG, TIFF or JPEG, or move them into the folder of their class; otherwise take them away"


def list_labels(config: Config, splits: Iterable[str]) -> list[Listing]:
    """List the data sets of a classifier's loaders, each set of files once.

    Args:
        config: The config.
        splits: Which of 'train', 'val' and 'test', in this order.

    Returns:
        One entry per data set.
    """
    init_default_scope("mmpretrain")
    return list_each(config, splits, _list)


def _list(leaf: Leaf, split: str) -> Listing:
    dataset: Any = None
    infos: list[dict[str, Any]] = []
    findings: list[Finding] = []
    try:
        dataset = DATASETS.build({**leaf.node, "pipeline": [], "lazy_init": True, "serialize_data": False})
        tree = getattr(dataset, "tree", None)  # It keeps it until it has its images.
        if tree is not None and not leaf.node.get("ann_file"):
            findings += _left_out(tree, split)
        dataset.full_init()
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        if not infos:
            findings.append(Finding.of("no_image", split, [f"{leaf.key} names no image"], _FOLDERS))
    except (LayoutError, ArchiveError) as error:
        kind = "no_image" if isinstance(error, LayoutError) and error.is_empty else "folder"
        findings.append(Finding.of(kind, split, [f"{leaf.key}: {error}"], _FOLDERS))
    except (OSError, ValueError, TypeError, LookupError, AssertionError) as error:  # Of data sets of other packages.
        told = f"{leaf.key} cannot list its images: {type(error).__name__}: {str(error).strip() or 'no message'}"
        findings.append(Finding.of("folder", split, [told], _FOLDERS))
    classes = () if dataset is None else tuple(dataset.metainfo.get("classes") or ())
    root = (dataset is not None and dataset.data_root) or ""
    # Some data sets of MMPretrain keep their images in memory: there are no files to look at.
    infos = [info for info in infos if "img_path" in info]
    return Listing(
        split=split,
        key=leaf.key,
        classes=classes,
        reduce_zero_label=False,
        new_ids=np.empty(0, np.int64),
        infos=infos,
        pipeline=leaf.pipeline,
        loader=Loader(leaf.pipeline),
        findings=findings,
        root=str(Path(root).expanduser()) if root else "",
    )


def _left_out(tree: ImageTree, split: str) -> list[Finding]:
    """Pictures in class folders, or beside them, that are not among the images, and folders without any."""
    findings = []
    images = tree.images()
    unread = tuple(sorted(UNREAD))
    cases = [f"{name}: in no class folder" for name in images if "/" not in name]
    cases += sorted(name for name in tree.files if name not in images and name.lower().endswith(unread))
    if cases:
        findings.append(Finding.of("skipped_image", split, cases, _LOOSE))
    if split == "train" and tree.where.is_dir():
        with os.scandir(tree.where) as found:
            folders = {entry.name for entry in found if entry.is_dir() and not is_junk(entry.name)}
        if empty := sorted(folders - folders_of(images).keys()):
            told = [f"{tree.where / name} has no image" for name in empty]
            mend = "put images of the class into its folder, or take the folder away: it is no class now"
            findings.append(Finding.of("unseen_class", split, told, mend))
    return findings


def count_images(parts: list[Looked]) -> np.ndarray:
    """How many images a split has of each class, all its data sets together, whether they were looked at or not."""
    counts = Counter(label for part in parts for info in part.listing.infos for label in labels_of(info))
    return np.array([counts[i] for i in range(len(parts[0].listing.classes))], np.int64)


def find_in_labels(parts: list[Looked], images: np.ndarray) -> list[Finding]:
    """Find labels that contradict each other, files that are not there and classes that no image shows.

    Args:
        parts: The data sets of a split.
        images: How many it has of each class.
    """
    first = parts[0].listing
    cases: dict[str, list[str]] = {"listed_image": [], "label_out_of_range": [], "contradicting_labels": []}
    seen: dict[str, tuple[str, tuple[int, ...]]] = {}
    number = len(first.classes)
    for pair in (pair for part in parts for pair in part.pairs):
        if first.classes and (wrong := [label for label in pair.labels if not 0 <= label < number]):
            cases["label_out_of_range"].append(f"{pair.name}: {wrong[0]} of {number} classes")
        if pair.image is None:
            cases["listed_image"].append(pair.name)
        elif pair.image.digest:
            name, labels = seen.setdefault(pair.image.digest, (pair.name, pair.labels))
            if set(labels) != set(pair.labels):
                here, there = (_named(first.classes, found) for found in (pair.labels, labels))
                cases["contradicting_labels"].append(f"{pair.name} ({here}) = {name} ({there})")
    # ImageNet's variants have some of its classes, and check themselves that these are all there.
    if not any("variant" in info for part in parts for info in part.listing.infos[:1]):
        enough = images.sum() >= (1 if first.split == "train" else number)
        kind = "unseen_class" if first.split == "train" else "unscored_class"
        cases[kind] = [name for name, there in zip(first.classes, images, strict=True) if enough and not there]
    return [Finding.of(kind, first.split, found) for kind, found in cases.items() if found]


def _named(classes: tuple[str, ...], labels: tuple[int, ...]) -> str:
    return ", ".join(classes[label] if 0 <= label < len(classes) else str(label) for label in labels)
