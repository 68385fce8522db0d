"""Whether the folders of a data set are all there, and no others."""

from collections.abc import Collection, Mapping
from typing import TypeAlias

from ..data.image_tree import ImageTree, folders_of

# A class, or all the classes that an image shows.
Label: TypeAlias = int | list[int]


class LayoutError(RuntimeError):
    """A data set is missing, half unpacked, or not laid out as it was published.

    Args:
        message: What was found, where, and what was expected.
        is_empty: Whether there is not a single image.
    """

    def __init__(self, message: str, is_empty: bool = False) -> None:
        super().__init__(message)
        self.is_empty = is_empty


def some(names: Collection[str]) -> str:
    """The first few of some names."""
    first = sorted(names)[:3]
    return ", ".join(first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def sort_by_folder(
    tree: ImageTree,
    labels: Mapping[str, Label],
    layout: str,
    *,
    below: str = "",
    ignored: Collection[str] = (),
) -> list[tuple[str, Label]]:
    """The images of class folders.

    Args:
        tree: The data set.
        labels: What the images of every folder are; each has to be there.
        layout: What is expected, for errors.
        below: Folder in which the class folders are.
        ignored: Class folders that may be there as well, and are left out.

    Returns:
        Path and label of every image, by its name.

    Raises:
        LayoutError: A folder is missing or has no image, or one is there that is no class.
    """
    images = tree.images(below)
    counts = folders_of(images)
    where = f"{tree.where}/{below}" if below else str(tree.where)
    if missing := labels.keys() - counts.keys():
        raise LayoutError(
            f"{where} has images of {len(labels) - len(missing)} of {len(labels)} classes; there are none in "
            f"{some(missing)}. It may be half unpacked. Expected {layout}."
        )
    if extra := counts.keys() - labels.keys() - set(ignored):
        raise LayoutError(
            f"{where} has {len(extra)} folder{'s' * (len(extra) > 1)} of images that no class is called by: "
            f"{some(extra)}. Expected {layout}."
        )
    return [(path, labels[folder]) for name, path in images.items() if (folder := name.partition("/")[0]) in labels]


def check_count(found: int, expected: int, where: object) -> None:
    """Check the number of images.

    Raises:
        LayoutError: It is another one than was published.
    """
    if found != expected:
        raise LayoutError(
            f"{where} has {found:,} images, expected {expected:,}: "
            + ("it is half unpacked. Unpack it again." if found < expected else "others are among them.")
        )
