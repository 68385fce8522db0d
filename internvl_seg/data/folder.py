"""A dataset that is nothing but a folder: the way in for images of one's own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from numpy.typing import NDArray
from PIL import Image

from .confusion import IGNORED
from .folder_errors import FolderError, MissingMaskError
from .palette import distinct_palette

LAYOUT = "images/{train,test}/NAME.* and annotations/{train,test}/NAME.png"


def list_pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every image of a folder with its mask, whether that is there or not.

    Args:
        images: Folder of images in any format that Pillow reads.
        masks: Folder of PNG masks with the images' names.

    Returns:
        (image, mask), sorted by name.

    Raises:
        FolderError: There is no such folder or no image in it.
    """
    if not images.is_dir():
        raise FolderError(f"{images} is not a folder. Expected {LAYOUT}.")
    formats = Image.registered_extensions()
    pairs = [(path, masks / f"{path.stem}.png") for path in sorted(images.iterdir()) if path.suffix.lower() in formats]
    if not pairs:
        raise FolderError(f"{images} holds no image. Expected {LAYOUT}.")
    return pairs


def find_pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every image of a folder with its mask, as :func:`list_pairs`.

    Raises:
        MissingMaskError: An image has no mask.
        FolderError: There is no such folder or no image in it.
    """
    pairs = list_pairs(images, masks)
    if missing := [mask for _, mask in pairs if not mask.is_file()]:
        raise MissingMaskError(images, pairs, missing)
    return pairs


def read_classes(root: Path) -> list[str]:
    """Names of a folder's classes.

    Args:
        root: Folder in the layout :data:`LAYOUT`; its ``classes.txt``, when there is one, names the ids from 0 up,
            one a line. Otherwise the ids of the training masks count and are their own names.

    Raises:
        FolderError: There are no names and no masks to count, or one of them is no image.
    """
    names = root / "classes.txt"
    if names.is_file():
        return [line.strip() for line in names.read_text().splitlines() if line.strip()]
    masks = [mask for _, mask in list_pairs(root / "images/train", root / "annotations/train") if mask.is_file()]
    if not masks:
        raise FolderError(f"{root / 'annotations/train'} holds no mask of an image. Expected {LAYOUT}.")
    highest = 0
    for mask in masks:
        try:
            ids = np.asarray(Image.open(mask))
        except (OSError, SyntaxError, ValueError) as error:
            raise FolderError(f"{mask} cannot be read: {error}. Copy it again, or take it away.") from error
        highest = max(highest, int(ids[ids != IGNORED].max(initial=0)))
    return [f"class {i}" for i in range(highest + 1)]


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
    """Images and masks in a folder, with the classes that :func:`read_classes` finds; 255 is ignored.

    Threads may not share it; the processes of a loader have one each.

    Args:
        data_root: Folder in the layout :data:`LAYOUT`.
        **kwargs: Other arguments of mmseg's ``BaseSegDataset``; ``data_prefix`` says which split.

    Raises:
        FolderError: The folder is incomplete.
    """

    def __init__(self, data_root: str, **kwargs: Any) -> None:
        classes = read_classes(Path(data_root))
        metainfo = {"classes": classes, "palette": distinct_palette(len(classes))}
        super().__init__(data_root=data_root, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry per image, as mmseg's pipelines take them."""
        pairs = find_pairs(Path(self.data_prefix["img_path"]), Path(self.data_prefix["seg_map_path"]))
        fields = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        return [
            {"img_path": str(image), "seg_map_path": str(mask), "seg_fields": [], **fields} for image, mask in pairs
        ]
