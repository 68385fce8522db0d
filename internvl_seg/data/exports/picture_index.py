"""Pictures of an export, found by what its labels call them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from PIL import Image

from ..scanning import scan_folder
from .export import Annotated, Labels, SourceError, Split
from .source import Source

# Rasters that Pillow may not read, beside what it does.
_RASTERS = frozenset({".tif", ".tiff", ".jp2", ".j2k", ".img"})
# Of several rasters, which may lie beside it: a picture where labels name it.
_MOSAIC = ".vrt"
_NO_PICTURES = frozenset({".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr"})


class Labelled(NamedTuple):
    """What is known of a picture of the index; the fields are those of :class:`~.export.Annotated`."""

    labels: Labels | None
    source: str
    split: Split | None = None
    group: str | None = None


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its suffix, which Pillow or GDAL reads."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in _RASTERS or (suffix in Image.registered_extensions() and suffix not in _NO_PICTURES)


class PictureIndex:
    """The pictures in the folder of ``--images``, or else in the export's own.

    Attributes:
        below: The folder.
        files: Every picture as a POSIX path below it, sorted.
    """

    def __init__(self, source: Source) -> None:
        self.below = source.images or source.folder
        if source.images is not None and not source.images.is_dir():
            raise SourceError(f"{source.images} (--images) is no folder. Give the folder of the pictures.")
        inside = source.files if source.images is None and source.root.is_dir() else sorted(scan_folder(self.below))
        self.files = tuple(name for name in inside if is_picture(name) or name.lower().endswith(_MOSAIC))
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            self._by_name[PurePosixPath(file).name].append(file)

    @cached_property
    def _by_folded_name(self) -> dict[str, list[str]]:
        return _grouped((PurePosixPath(file).name.casefold(), file) for file in self.files)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped((PurePosixPath(file).stem.casefold(), file) for file in self.files)

    def path(self, file: str) -> Path:
        """The path of a picture of :attr:`files`."""
        return self.below / file

    def find(self, name: str, near: str = "", hints: Iterable[str] = ()) -> str | None:
        """The picture that labels call by a name, which may be a path of another machine.

        Of several the one is taken that shares most folders with the name; then one in the folder of the labels; then
        one in a folder called as a hint; then one in a folder ``images``.

        Args:
            name: What the labels say, with or without folders, with slashes of either kind; the suffix may be missing.
                It may be an address on the web, of which what is behind ``?`` is no part of the name.
            near: The folder of the labels.
            hints: Names of folders in which it may be.

        Raises:
            SourceError: Several are left.
        """
        parts = [part for part in re.split(r"[\\/]+", name.strip()) if part not in ("", ".", "..")]
        if not parts:
            return None
        last = parts[-1]
        found = self._by_name.get(last) or self._by_folded_name.get(last.casefold())
        if not found and not is_picture(last):
            found = self._by_stem.get(last.casefold())
        if not found and (path := _path_of(name)) != name:
            return self.find(path, near, hints)
        if not found or len(found) == 1:
            return found[0] if found else None
        wanted = {hint.casefold() for hint in hints}

        def rank(file: str) -> tuple[int, bool, bool, bool]:
            folders = PurePosixPath(file).parts[:-1]
            shared = 0
            for mine, theirs in zip(reversed(folders), reversed(parts[:-1]), strict=False):
                if mine.casefold() != theirs.casefold():
                    break
                shared += 1
            names = {folder.casefold() for folder in folders}
            beside = not near or file.startswith(near + "/")
            return shared, beside, not names.isdisjoint(wanted), not names.isdisjoint(("images", "img", "imgs"))

        best = max(map(rank, found))
        left = [file for file in found if rank(file) == best]
        if len(left) > 1:
            raise SourceError(
                f"Which picture {name!r} is cannot be told: {self.below} has {left[0]} and {left[1]}. Give the folder "
                "of the pictures with --images."
            )
        return left[0]

    def annotated(self, found: Mapping[str, Labelled]) -> tuple[Annotated, ...]:
        """Pictures with what is known of them, under names that no two share.

        Args:
            found: By members of :attr:`files`.

        Raises:
            SourceError: There is none.
        """
        if not found:
            raise SourceError(
                f"None of the labelled pictures is in {self.below}, which has {len(self.files)} pictures. Give their "
                "folder with --images, or take the folder that holds labels and pictures for SOURCE."
            )
        stems = {file: PurePosixPath(file).with_suffix("").as_posix() for file in found}
        often = Counter(stem.casefold() for stem in stems.values())
        named = ((stem if often[stem.casefold()] == 1 else file, file) for file, stem in stems.items())
        return tuple(
            Annotated(self.path(file), name, known.labels, known.split, known.group, known.source)
            for name, file in sorted(named)
            for known in (found[file],)
        )


def _path_of(address: str) -> str:
    """The path of an address on the web, ``https://host/a%20b.jpg?size=1``; what is none comes back as it is."""
    try:
        return unquote(urlsplit(address).path) or address
    except ValueError:
        return address


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, file in pairs:
        groups[key].append(file)
    return groups
