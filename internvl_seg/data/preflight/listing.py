"""Which images and masks a config's data sets name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from ..confusion import IGNORED
from ..folder import FolderDataset, FolderError, MissingMaskError, NoImageError
from .findings import Finding


@dataclass(frozen=True)
class Listing:
    """Files of one data set.

    Attributes:
        split: 'train', 'val' or 'test'.
        classes: Names of its classes.
        reduce_zero_label: Whether 0 is no class.
        new_ids: (256,), what each id in a mask becomes when it is read.
        pairs: (image, mask) paths; the mask is '' in a set without masks.
        pipeline: Config of its transforms.
        findings: What was found while listing.
    """

    split: str
    classes: tuple[str, ...]
    reduce_zero_label: bool
    new_ids: NDArray[np.int64]
    pairs: list[tuple[str, str]]
    pipeline: list[dict[str, Any]]
    findings: list[Finding] = field(default_factory=list)


def leaves(dataset: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``."""
    inner = dataset.get("datasets") or ([dataset["dataset"]] if "dataset" in dataset else [])
    for child in inner:
        yield from leaves(child)
    if not inner:
        yield dataset


def _new_ids(reduce_zero_label: bool, label_map: dict[int, int] | None) -> NDArray[np.int64]:
    """What ``LoadAnnotations`` makes of every id."""
    ids = np.arange(256)
    if reduce_zero_label:
        ids = np.where((ids == 0) | (ids == IGNORED), IGNORED, ids - 1)
    before = ids.copy()
    for old, new in (label_map or {}).items():
        ids[before == old] = new
    return ids


def _orphans(dataset: Any, split: str, masks: set[str]) -> list[Finding]:
    """Masks in the folder that belong to no image, unless a list chooses among the images."""
    folder = dataset.data_prefix.get("seg_map_path")
    if not folder or dataset.ann_file or dataset._indices is not None:
        return []
    if isinstance(dataset, FolderDataset):
        orphans = sorted(map(str, dataset.unused_masks()))
    else:
        found = {str(path) for path in Path(folder).rglob(f"*{dataset.seg_map_suffix}")}
        orphans = sorted(found - {str(Path(mask)) for mask in masks})
    return [Finding.of("missing_image", split, [Path(mask).name for mask in orphans])] if orphans else []


def list_files(config: Config, splits: Iterable[str]) -> list[Listing]:
    """List the data sets of a config's loaders, each set of files once.

    Args:
        config: The config.
        splits: Which of 'train', 'val' and 'test', in this order.

    Returns:
        One entry per data set.
    """
    init_default_scope("mmseg")
    listings: list[Listing] = []
    seen: list[list[tuple[str, str]]] = []
    for split in splits:
        loader = config.get(f"{split}_dataloader")
        for cfg in leaves(loader["dataset"]) if loader else ():
            listing = _list(cfg, split)
            if listing.pairs not in seen or listing.findings:  # Validation and test are often the same.
                listings.append(listing)
                seen.append(listing.pairs)
    return listings


def _list(cfg: dict[str, Any], split: str) -> Listing:
    dataset = DATASETS.build({**cfg, "pipeline": [], "lazy_init": True, "serialize_data": False})
    pairs: list[tuple[str, str]] = []
    findings: list[Finding] = []
    hint: list[str] = []
    nothing = f"{dataset.data_prefix['img_path']} holds no *{dataset.img_suffix}"
    try:
        dataset.full_init()
        infos = (dataset.get_data_info(i) for i in range(len(dataset)))
        pairs = [(info["img_path"], info.get("seg_map_path") or "") for info in infos]
    except MissingMaskError as error:
        pairs = [(str(image), str(mask)) for image, mask in error.pairs]
        hint = [error.hint] if error.hint else []
    except NoImageError as error:
        nothing = str(error)
    except FolderError as error:
        findings.append(Finding.of("folder", split, [str(error)]))
    if not pairs and not findings:
        findings.append(Finding.of("no_image", split, [nothing]))
    missing = [(image, mask) for image, mask in pairs if mask and not Path(mask).is_file()]
    if missing:
        cases = [f"{Path(image).name}: there is no {mask}" for image, mask in missing]
        findings.append(Finding("missing_mask", split, len(cases), (*hint, *cases[:5])))
    if pairs:
        findings += _orphans(dataset, split, {mask for _, mask in pairs})
    return Listing(
        split,
        tuple(dataset.metainfo["classes"]),
        bool(dataset.reduce_zero_label),
        _new_ids(dataset.reduce_zero_label, dataset.label_map),
        pairs,
        list(cfg.get("pipeline", [])),
        findings,
    )
