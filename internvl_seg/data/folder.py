"""A dataset that is nothing but a folder: the way in for images of one's own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from .confusion import IGNORED
from .folder_classes import NAMES, find_classes, merge_metainfo
from .folder_errors import LAYOUT, PAGE, FolderError, MissingMaskError, NoImageError
from .folder_pairs import PairedFolders
from .image_lists import read_image_list

__all__ = [
    "LAYOUT",
    "FolderDataset",
    "FolderError",
    "MissingMaskError",
    "NoImageError",
    "PairedFolders",
    "class_weights",
    "find_pairs",
    "list_pairs",
    "read_classes",
]
_PREFIXES = ("img_path", "seg_map_path")


def list_pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every image of a folder with its mask, whether that is there or not.

    Args:
        images: Folder of images in any format that Pillow reads, and of folders of them.
        masks: Folder of masks with the images' names.

    Returns:
        (image, mask), sorted by name.

    Raises:
        FolderError: There is no such folder or no image in it, or masks and images are not one each.
    """
    return PairedFolders(images, masks).pairs()


def find_pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every image of a folder with its mask, as :func:`list_pairs`.

    Raises:
        MissingMaskError: An image has no mask.
        FolderError: There is no such folder or no image in it, or masks and images are not one each.
    """
    return PairedFolders(images, masks).complete_pairs()


def read_classes(root: Path) -> list[str]:
    """Names of a folder's classes.

    Args:
        root: Folder in the layout :data:`LAYOUT`; its ``classes.txt``, when there is one, names the ids from 0 up,
            one a line. Otherwise the ids of all splits' masks count and are their own names.

    Raises:
        FolderError: There are no names and no masks to count, or one of them holds no ids.
    """
    folders = PairedFolders(root / "images/train", root / "annotations/train")
    return [name for name, _ in find_classes(root, folders)]


def class_weights(labels: Iterable[NDArray[Any]], num_classes: int) -> list[float]:
    """Weights for the loss that keep rare classes from being given up, as mIoU counts all classes alike.

    Args:
        labels: Maps of class ids; 255 is not counted.
        num_classes: Number of classes, C.

    Returns:
        C weights: how many times rarer than the commonest a class is, to the power of a third; at most 5.
    """
    counts = sum(np.bincount(label[label != IGNORED].ravel(), minlength=num_classes) for label in labels)
    rarity = np.max(counts) / np.maximum(counts, 1)
    return [round(float(weight), 2) for weight in np.minimum(np.cbrt(rarity), 5)]


@DATASETS.register_module()
class FolderDataset(BaseSegDataset):
    """Images and masks in a folder; 255 is ignored.

    Every argument of mmseg's ``BaseSegDataset`` is taken as there, or refused. Threads may not share it; the processes
    of a loader have one each.

    Args:
        data_root: Folder in the layout :data:`LAYOUT`, with folders inside folders if there are any.
        ann_file: List of the split's images (:func:`.image_lists.read_image_list`); all if ''.
        img_suffix: End of the images' names; any format of Pillow's if None.
        seg_map_suffix: End of the masks' names; if None a mask has its image's name with the suffix of any format.
        metainfo: ``classes`` to choose and order those of ``classes.txt``, or to name them if there is no such file;
            ``palette``.
        data_prefix: Folders of the split's images and masks, ``img_path`` and ``seg_map_path``. Without the latter
            there are no masks.
        filter_cfg: Nothing; there is nothing to filter by.
        backend_args: Nothing, or the disk: the folder is listed there.
        **kwargs: Other arguments of mmseg's ``BaseSegDataset``.

    Raises:
        FolderError: The folder is incomplete, or an argument does not fit it.
    """

    def __init__(
        self,
        data_root: str,
        *,
        ann_file: str = "",
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        metainfo: Mapping[str, Any] | None = None,
        data_prefix: Mapping[str, str | None] | None = None,
        filter_cfg: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        root = Path(data_root).expanduser()
        _check_arguments(metainfo, filter_cfg, backend_args)
        prefix = _read_prefix(data_prefix)
        kwargs |= {"data_root": str(root), "data_prefix": prefix, "ann_file": ann_file or ""}
        kwargs |= {"img_suffix": img_suffix or None, "seg_map_suffix": seg_map_suffix or None}
        # mmseg knows the classes of a type of data sets only, not those of a folder; what it makes of none is replaced.
        super().__init__(metainfo={"classes": ()}, lazy_init=True, **kwargs)
        self.folders = PairedFolders(
            Path(self.data_prefix["img_path"]),
            Path(self.data_prefix["seg_map_path"]) if "seg_map_path" in prefix else None,
            self.img_suffix,
            self.seg_map_suffix,
        )
        metainfo = dict(metainfo or {})
        own = None
        if "classes" not in metainfo or (root / NAMES).is_file():
            own = find_classes(root, self.folders, self.ignore_index, self.reduce_zero_label)
        classes = merge_metainfo(own, metainfo, self.ignore_index)
        self.label_map = classes.label_map
        self._metainfo |= metainfo | {
            "classes": classes.names,
            "palette": classes.palette,
            "label_map": self.label_map,
        }
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry per image, as mmseg's pipelines take them."""
        images = self.folders.images
        names = list(self.folders.stems)
        if self.ann_file:
            names = read_image_list(Path(self.ann_file), self.folders.stems, images)
        fields = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        if self.folders.masks is None:
            return [{"img_path": str(images / name), "seg_fields": [], **fields} for name in names]
        return [
            {"img_path": str(image), "seg_map_path": str(mask), "seg_fields": [], **fields}
            for image, mask in self.folders.complete_pairs(names)
        ]

    def full_init(self) -> None:
        """List the images and masks, and keep those that ``indices`` names.

        Raises:
            FolderError: The folder is incomplete, or has fewer images than ``indices`` names.
        """
        try:
            super().full_init()
        except IndexError as error:
            raise FolderError(
                f"indices = {self._indices!r} names images that are not there: {self.folders.images} has "
                f"{len(self.data_list)}, counted from 0."
            ) from error

    def unused_masks(self) -> list[Path]:
        """Masks that belong to no image of the folder, whether a list names that or not."""
        return self.folders.unused_masks()


def _check_arguments(metainfo: Any, filter_cfg: Any, backend_args: Any) -> None:
    if metainfo is not None and not isinstance(metainfo, Mapping):
        raise FolderError(f"metainfo = {metainfo!r}: expected a dict with classes and palette ({PAGE}).")
    if filter_cfg:
        raise FolderError(
            f"filter_cfg = {dict(filter_cfg)!r}: FolderDataset does not filter images. Leave it out, and name the "
            f"images to keep in a list, ann_file ({PAGE})."
        )
    if backend_args and dict(backend_args) != {"backend": "local"}:
        raise FolderError(
            f"backend_args = {dict(backend_args)!r}: FolderDataset lists a folder on a disk. Copy the data there, or "
            f"mount it ({PAGE})."
        )


def _read_prefix(given: Mapping[str, str | None] | None) -> dict[str, str]:
    prefix = {"img_path": "", "seg_map_path": ""} if given is None else dict(given)
    if strange := prefix.keys() - {*_PREFIXES}:
        raise FolderError(
            f"data_prefix names {', '.join(sorted(strange))}: expected img_path, the folder of the images, and "
            f"seg_map_path, that of the masks ({PAGE})."
        )
    if not isinstance(prefix.get("img_path"), str):
        raise FolderError(f"data_prefix = {prefix!r}: img_path, the folder of the images, is missing ({PAGE}).")
    return {key: value for key, value in prefix.items() if value is not None}
