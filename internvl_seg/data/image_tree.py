"""Files in a folder, or in an archive of one, by their names below it."""

import os
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from mmengine import fileio
from PIL import Image

from .archives import SUFFIXES, list_archive
from .scanning import is_junk, scan_folder


@dataclass(frozen=True)
class ImageTree:
    """Files by their names.

    Attributes:
        where: The folder or archive.
        files: Every file by its POSIX path below it, with the path that reads it.
    """

    where: Path
    files: dict[str, str]

    def images(self, below: str = "") -> dict[str, str]:
        """The images in a folder, at any depth, by their names below it, sorted."""
        start = below + "/" if below else ""
        formats = Image.registered_extensions()
        return {
            name.removeprefix(start): path
            for name, path in sorted(self.files.items())
            if name.startswith(start) and os.path.splitext(name)[1].lower() in formats
        }

    def unwrapped(self, keep: Container[str]) -> "ImageTree":
        """The same files seen from inside a folder that all of them are in, as archives often have one.

        Args:
            keep: Names of folders that are not to be passed over.
        """
        tops = {name.partition("/")[0] if "/" in name else "" for name in self.files}
        if len(tops) != 1 or "" in tops or (top := tops.pop()) in keep:
            return self
        inside = {name.removeprefix(top + "/"): path for name, path in self.files.items()}
        return ImageTree(self.where / top, inside).unwrapped(keep)

    def text(self, name: str) -> str | None:
        """What a text file says; None if it is not there."""
        path = self.files.get(name)
        return None if path is None else fileio.get_text(path)


def folders_of(names: Iterable[str]) -> Counter[str]:
    """How many of some files are in each folder at the top."""
    return Counter(name.partition("/")[0] for name in names if "/" in name)


def find_tree(*places: Path) -> ImageTree | None:
    """The first folder or archive that is there.

    Args:
        *places: Folders; each stands for an archive of its name with ``.tar`` or ``.zip``, too.
    """
    for place in places:
        archives = (place.with_name(place.name + suffix) for suffix in SUFFIXES)
        for path in (place, *archives):
            if path.is_dir():
                return ImageTree(path, _list_folder(path))
            if path.is_file() and path.name.lower().endswith(SUFFIXES):
                return ImageTree(path, _without_junk(list_archive(path)))
    return None


def _list_folder(folder: Path) -> dict[str, str]:
    return {name: os.path.join(folder, name) for name in scan_folder(folder)}


def _without_junk(files: dict[str, str]) -> dict[str, str]:
    return {name: path for name, path in files.items() if not is_junk(name)}
