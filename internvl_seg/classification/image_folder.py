"""One's own images, a folder a class."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ..data.class_files import ClassFileError, read_lines
from ..data.image_lists import ImageListError, read_image_list
from ..data.image_tree import ImageTree, find_tree, folders_of
from .layout import Label, LayoutError, some, sort_by_folder

LAYOUT = "SPLIT/CLASS/IMAGE, with train and others such as val or test for SPLIT, and the same classes in each"
NAMES = "classes.txt"


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images in class folders, numbered in the order of the training set's folders, whatever split is read.

    MMPretrain's ``CustomDataset`` numbers the folders of each split anew: one that lacks a class is labelled wrong. A
    split may be a tar or zip archive instead of a folder. Names for people stand in ``classes.txt`` in ``data_root``, a
    line ``CLASS NAME`` each, such as ``n03814639 necklace``; a class that has none there is called by its folder.

    Threads may not share it; the processes of a loader have one each.

    Args:
        data_root: Folder in the layout :data:`LAYOUT`.
        split: Folder or archive in it that is read.
        train_split: The one whose folders are the classes.
        ann_file: List in ``data_root`` of the images of the split that are read, such as ``bee/1.jpg``, one a line
            (:func:`internvl_seg.data.image_lists.read_image_list`); all if ''.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``.

    Raises:
        LayoutError: A split is missing or has no images, or a class that the training set has not; or ``classes.txt``
            names no folder; or a list no image.
        ArchiveError: An archive cannot be read.
    """

    def __init__(
        self, data_root: str, split: str, train_split: str = "train", ann_file: str = "", **kwargs: Any
    ) -> None:
        self.split = split
        train = _open(data_root, train_split)
        # A large folder is walked through once.
        self.tree = train if split == train_split else _open(data_root, split)
        self._folders = sorted(folders_of(train.images()))
        if not self._folders:
            raise LayoutError(f"{train.where} has no folder with images. Expected {LAYOUT}.", is_empty=True)
        names = _read_names(Path(data_root).expanduser() / NAMES, self._folders)
        classes = tuple(names.get(folder, folder) for folder in self._folders)
        self._list = Path(data_root).expanduser() / ann_file if ann_file else None
        super().__init__(ann_file="", data_root=data_root, data_prefix={}, metainfo={"classes": classes}, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List and label the images."""
        if self._list is not None:
            self.tree = _listed(self.tree, self._list)
        classes = {folder: number for number, folder in enumerate(self._folders)}
        there = folders_of(self.tree.images())
        if unknown := there.keys() - classes.keys():
            raise LayoutError(
                f"{self.tree.where} has images of {some(unknown)}, of which there are none to train on. "
                f"Expected {LAYOUT}."
            )
        # A class may have no image to be tested with.
        labels: dict[str, Label] = {name: classes[name] for name in sorted(there)}
        found = sort_by_folder(self.tree, labels, LAYOUT)
        del self.tree  # It is listed once; workers need no copy.
        return [{"img_path": path, "gt_label": label} for path, label in found]


def _read_names(path: Path, folders: Collection[str]) -> dict[str, str]:
    """Names of class folders; none if there is no such file."""
    try:
        lines = read_lines(path) if path.is_file() else []
    except ClassFileError as error:
        raise LayoutError(str(error)) from error
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        folder, _, name = line.strip().partition(" ")
        if line.strip() and (folder not in folders or not name):
            raise LayoutError(f"{path}:{number}: {line!r}; expected a folder of the training set, a space and a name.")
        names[folder] = name.strip()
    return names


def _listed(tree: ImageTree, path: Path) -> ImageTree:
    """A split's images that a list names."""
    stems = {name: name.rpartition(".")[0] for name in tree.images()}
    try:
        names = read_image_list(path, stems, tree.where)
    except (ImageListError, ClassFileError) as error:
        raise LayoutError(str(error)) from error
    return ImageTree(tree.where, {name: tree.files[name] for name in names})


def _open(root: str, split: str) -> ImageTree:
    tree = find_tree(Path(root).expanduser() / split)
    if tree is None or not tree.images():
        what = "no such folder or archive" if tree is None else "no image in it"
        raise LayoutError(f"{Path(root) / split}: there is {what}. Expected {LAYOUT}.", is_empty=True)
    return tree
