"""Which images and masks a config's data sets name."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from ..folder import FolderDataset, FolderError, MissingMaskError, NoImageError
from ..scanning import scan_folder
from .findings import Finding
from .loading import Loader

Info = dict[str, Any]


class Leaf(NamedTuple):
    """A data set in the config, without what is wrapped around it.

    Attributes:
        key: Its dotted key.
        node: Its config.
        pipeline: All transforms from its files on, those of the wrappers last.
    """

    key: str
    node: dict[str, Any]
    pipeline: list[dict[str, Any]]


@dataclass(frozen=True)
class Listing:
    """Files of one data set.

    Attributes:
        split: 'train', 'val' or 'test'.
        key: Dotted key of the data set in the config.
        classes: Names of its classes.
        reduce_zero_label: Whether 0 is no class.
        new_ids: (65536,), what each id in a mask becomes when it is read.
        infos: Its samples, with ``img_path``, and with ``seg_map_path`` in a set with masks.
        pipeline: Config of its transforms.
        loader: Those that read files.
        findings: What was found while listing.
        root: Where names of files begin in a data set of image labels; None in one of masks.
    """

    split: str
    key: str
    classes: tuple[str, ...]
    reduce_zero_label: bool
    new_ids: NDArray[Any]
    infos: list[Info]
    pipeline: list[dict[str, Any]]
    loader: Loader
    findings: list[Finding] = field(default_factory=list)
    root: str | None = None

    @property
    def is_dense(self) -> bool:
        """Whether pixels have labels, not whole images."""
        return self.root is None

    def name_of(self, path: str) -> str:
        """What a file is called where people read of it."""
        if self.root is None:
            return os.path.basename(path)
        inside = path.rpartition("::")[2]  # Of an archive.
        return inside.removeprefix(f"{self.root}/") if self.root else inside

    @property
    def files(self) -> list[tuple[str, str]]:
        """(image, mask) paths; the mask is '' in a set without masks."""
        return [(info["img_path"], info.get("seg_map_path") or "") for info in self.infos]

    def repeats(self, other: "Listing") -> bool:
        """Whether nothing can be found in this one that is not in another: training's images are to be nowhere else."""
        return (
            self.files == other.files
            and (self.split == "train") == (other.split == "train")
            and (self.classes, self.reduce_zero_label, self.pipeline)
            == (other.classes, other.reduce_zero_label, other.pipeline)
            and bool((self.new_ids == other.new_ids).all())
        )


def leaves(dataset: dict[str, Any], key: str = "") -> Iterator[Leaf]:
    """The data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``."""
    own = list(dataset.get("pipeline") or [])
    inner = [(f"{key}.datasets[{i}]", child) for i, child in enumerate(dataset.get("datasets") or ())]
    if not inner and "dataset" in dataset:
        inner = [(f"{key}.dataset", dataset["dataset"])]
    for where, child in inner:
        for leaf in leaves(child, where):
            yield leaf._replace(pipeline=[*leaf.pipeline, *own])
    if not inner:
        yield Leaf(key, dataset, own)


def list_files(config: Config, splits: Iterable[str]) -> list[Listing]:
    """List the data sets of a config's loaders, each set of files once.

    Args:
        config: The config.
        splits: Which of 'train', 'val' and 'test', in this order.

    Returns:
        One entry per data set.
    """
    init_default_scope("mmseg")
    return list_each(config, splits, _list)


def list_each(config: Config, splits: Iterable[str], list_one: Callable[[Leaf, str], Listing]) -> list[Listing]:
    """List the data sets of a config's loaders, each set of files once.

    Args:
        config: The config.
        splits: Which of 'train', 'val' and 'test', in this order.
        list_one: Lists a data set of a split.
    """
    listings: list[Listing] = []
    seen: list[Listing] = []
    for split in splits:
        loader = config.get(f"{split}_dataloader")
        for leaf in leaves(loader["dataset"], f"{split}_dataloader.dataset") if loader else ():
            listing = list_one(leaf, split)
            if listing.findings or not any(map(listing.repeats, seen)):  # Validation and test are often the same.
                listings.append(listing)
                seen.append(listing)
    return listings


def _list(leaf: Leaf, split: str) -> Listing:
    dataset = _build(leaf)
    reduces = bool(dataset.reduce_zero_label)
    fields = {"label_map": dataset.label_map, "reduce_zero_label": reduces, "seg_fields": []}
    infos: list[Info] = []
    findings: list[Finding] = []
    hint: list[str] = []
    nothing = f"{dataset.data_prefix['img_path']} holds no *{getattr(dataset, 'img_suffix', '')}"
    try:
        dataset.full_init()
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    except MissingMaskError as error:
        infos = [{"img_path": str(image), "seg_map_path": str(mask), **fields} for image, mask in error.pairs]
        hint = [error.hint] if error.hint else []
    except NoImageError as error:
        nothing = str(error)
    except FolderError as error:
        findings.append(Finding.of("folder", split, [str(error)]))
    except (OSError, ValueError, LookupError, AssertionError) as error:  # Of data sets of other packages.
        told = f"{leaf.key} cannot list its images: {type(error).__name__}: {str(error).strip() or 'no message'}"
        findings.append(Finding.of("folder", split, [told]))
    if not infos and not findings:
        findings.append(Finding.of("no_image", split, [nothing]))
    if gone := [info["img_path"] for info in infos if not os.path.isfile(info["img_path"])]:
        source = f"{dataset.ann_file} names" if dataset.ann_file else f"{leaf.key} names"
        findings.append(Finding.of("listed_image", split, [f"{source} what is not there: {path!r}" for path in gone]))
    masks = [info.get("seg_map_path") or "" for info in infos]
    absent = [i for i, mask in enumerate(masks) if mask and not os.path.isfile(mask)]
    if absent := [i for i in absent if infos[i]["img_path"] not in set(gone)]:
        cases = [f"{Path(infos[i]['img_path']).name}: there is no {masks[i]}" for i in absent]
        findings.append(Finding("missing_mask", split, len(cases), (*hint, *cases[:5])))
    findings += _orphans(dataset, split, set(masks)) if infos else []
    if infos and isinstance(dataset, FolderDataset) and not dataset.ann_file and dataset.folders.skipped:
        findings.append(Finding.of("skipped_image", split, dataset.folders.skipped))
    loader = Loader(leaf.pipeline)
    if (told_by_step := loader.reduces_zero(reduces)) != reduces:
        told = f"LoadAnnotations has reduce_zero_label={told_by_step}, {leaf.key} has {reduces}"
        mend = f"leave it out of LoadAnnotations, and set {leaf.key}.reduce_zero_label={told_by_step} if 0 is no class"
        findings.append(Finding.of("unsupported_mask", split, [told], mend))
    return Listing(
        split,
        leaf.key,
        tuple(dataset.metainfo["classes"]),
        reduces,
        loader.new_ids({**fields, "img_path": ""}),
        infos,
        leaf.pipeline,
        loader,
        findings,
    )


def _build(leaf: Leaf) -> Any:
    """A data set that has not listed its files.

    Raises:
        FolderError: It cannot be built, or has no classes.
    """
    try:
        dataset = DATASETS.build({**leaf.node, "pipeline": [], "lazy_init": True, "serialize_data": False})
    except FolderError:
        raise
    except (TypeError, OSError, ValueError, LookupError, AssertionError) as error:  # Of other packages.
        told = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        raise FolderError(f"{leaf.key} cannot be built: {told}. See what its fields say.") from error
    if not dataset.metainfo.get("classes"):
        raise FolderError(
            f"{leaf.key} has no classes: set {leaf.key}.metainfo=dict(classes=[...]), names in their order."
        )
    return dataset


def _orphans(dataset: Any, split: str, masks: set[str]) -> list[Finding]:
    """Masks in the folder that belong to no image, unless a list chooses among the images."""
    folder = dataset.data_prefix.get("seg_map_path")
    if not folder or dataset.ann_file or dataset._indices is not None:
        return []
    if isinstance(dataset, FolderDataset):
        orphans = sorted(map(str, dataset.unused_masks()))
    elif os.path.isdir(folder):
        found = scan_folder(Path(folder), failed=lambda error: None)
        suffix = dataset.seg_map_suffix
        there = {os.path.normpath(os.path.join(folder, name)) for name in found if name.endswith(suffix)}
        orphans = sorted(there - {os.path.normpath(mask) for mask in masks})
    else:
        orphans = []
    return [Finding.of("missing_image", split, [Path(mask).name for mask in orphans])] if orphans else []
