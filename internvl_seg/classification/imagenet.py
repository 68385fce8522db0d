"""ImageNet and its variants from their original folders or archives."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..data.image_tree import ImageTree, find_tree, folders_of
from .imagenet_classes import imagenet_classes
from .layout import Label, LayoutError, check_count, some, sort_by_folder
from .objectnet import read_mapping
from .variants import VARIANTS

_TRAINING_IMAGES = 1_281_167
_SPLITS = ("train", "val")
Labelled = list[tuple[str, Label]]


@DATASETS.register_module()
class ImageNetVariant(BaseDataset):
    """ImageNet-1K, or another data set with its classes, checked to be whole.

    Labels are numbers of the 1000 classes always; an image of ObjectNet may have several. Folders may be tar or zip
    archives of the same name instead (``imagenet-a.tar``), which are read where they stand.

    Threads may not share it; the processes of a loader have one each.

    Args:
        variant: A key of :data:`VARIANTS`.
        data_root: Its folder or archive; of 'imagenet' the folder of ``train`` and ``val``.
        split: 'train' or 'val'; 'train' for 'imagenet' only.
        folders: Names of the class folders that there are, for a part of a data set; all of them if None.
        num_images: How many images there are; the published number if None.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``.

    Raises:
        LayoutError: It is not there, not whole, or not laid out as it was published.
        ArchiveError: An archive cannot be read.
        ValueError: An argument is not among the allowed values.
    """

    METAINFO: ClassVar = {"classes": tuple(c.name for c in imagenet_classes())}

    def __init__(
        self,
        variant: str,
        data_root: str,
        split: str = "val",
        folders: Sequence[str] | None = None,
        num_images: int | None = None,
        **kwargs: Any,
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f"variant={variant!r} is not known; choose one of {', '.join(VARIANTS)}.")
        if split not in _SPLITS or (split == "train" and variant != "imagenet"):
            raise ValueError(f"split={split!r} is not there of {variant!r}; choose 'val', or 'train' of 'imagenet'.")
        self.variant = variant
        self.split = split
        self._expected = num_images
        self._folders = folders
        super().__init__(ann_file="", data_root=data_root, data_prefix={}, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List and label the images, and check that all are there."""
        root, row = Path(self.data_root).expanduser(), VARIANTS[self.variant]
        if self.variant == "imagenet":
            tree = find_tree(root / self.split, root / f"ILSVRC2012_img_{self.split}")
        else:
            tree = find_tree(root)
        if tree is None:
            there = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
            what = f"only {some(there)}" if there else "nothing" if root.is_dir() else "no such folder or archive"
            raise LayoutError(f"{row.title}: in {root} there is {what}. Expected {row.layout} ({row.source}).")
        images = self._objectnet(tree) if self.variant == "objectnet" else self._by_folder(tree, root)
        expected = row.images if self.split == "val" else _TRAINING_IMAGES
        check_count(len(images), self._expected or expected, f"{row.title}: {tree.where}")
        return [{"img_path": path, "gt_label": label, "variant": self.variant} for path, label in images]

    def _by_folder(self, tree: ImageTree, root: Path) -> Labelled:
        row, classes = VARIANTS[self.variant], imagenet_classes()
        names = {str(i) if self.variant == "imagenet_v2" else classes[i].wnid: i for i in row.ids}
        tree = tree.unwrapped(names)
        wanted = self._chosen(names)
        images = tree.images()
        if self.variant == "imagenet" and self.split == "val" and images and not folders_of(images):
            return _by_list(tree, images, root / "meta/val.txt", wanted)
        return list(sort_by_folder(tree, wanted, row.layout))

    def _objectnet(self, tree: ImageTree) -> Labelled:
        tree = tree.unwrapped({"images", "mappings"})
        every, shown = read_mapping(tree)
        layout = VARIANTS[self.variant].layout
        return list(sort_by_folder(tree, self._chosen(shown), layout, below="images", ignored=every - shown.keys()))

    def _chosen(self, names: dict[str, Any]) -> dict[str, Any]:
        """The class folders that are to be there, with their labels."""
        if self._folders is None:
            return names
        if unknown := set(self._folders) - names.keys():
            raise ValueError(f"folders={list(self._folders)}: {some(unknown)} is no class folder of {self.variant!r}.")
        return {name: names[name] for name in self._folders}


def _by_list(tree: ImageTree, images: dict[str, str], listing: Path, wanted: dict[str, int]) -> Labelled:
    """Images that a file gives labels to.

    Raises:
        LayoutError: The list is missing or wrong, or does not list the images that are there.
    """
    if not listing.is_file():
        raise LayoutError(
            f"{tree.where} has {len(images):,} images without class folders, and their labels are missing: put them "
            f"into {listing}, a line 'IMAGE LABEL' each (val.txt of Caffe's caffe_ilsvrc12.tar.gz)."
        )
    labels: dict[str, int] = {}
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not name or not label.isdecimal() or int(label) not in wanted.values():
            raise LayoutError(
                f"{listing}:{number}: {line!r}; expected an image's name and its label from 0 to 999"
                + (", of the classes in folders." if len(wanted) < 1000 else ".")
            )
        labels[PurePosixPath(name).name] = int(label)
    if unlisted := images.keys() - labels.keys():
        raise LayoutError(f"{listing} lists no label of {len(unlisted)} images in {tree.where}: {some(unlisted)}.")
    if gone := labels.keys() - images.keys():
        raise LayoutError(
            f"{tree.where} has {len(images):,} of the {len(labels):,} images that {listing} lists; {some(gone)} are "
            "missing. It may be half unpacked."
        )
    return [(path, labels[name]) for name, path in images.items()]
