"""Pictures that an export only names, found among the files that there are."""

import base64
import binascii
import posixpath
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from ..scanning import scan_folder
from .export import Annotated, ExportError, Split
from .source import Source

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".avif"}
)
# Label Studio puts eight hex digits before the names of files that are uploaded.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class PictureFiles:
    """The pictures of an export, and those in the folder that ``--images`` names, which is looked into first.

    Args:
        source: The export. Of a single file without ``--images`` the files in the same folder are looked at.
        leave_out: Names of the export's files that are no pictures but masks.
    """

    def __init__(self, source: Source, leave_out: Collection[str] = ()) -> None:
        self._path: dict[str, Path] = {}
        if source.images is not None:
            if not source.images.is_dir():
                raise ExportError(f"--images {source.images} is no folder. Name the one that holds the pictures.")
            self._add(source.images, scan_folder(source.images))
        single = not source.root.is_dir()
        if single and source.images is None:
            self._add(source.folder, (path.name for path in sorted(source.folder.iterdir()) if path.is_file()))
        elif not single:
            self._add(source.folder, (name for name in source.files if name not in leave_out))
        self._by_last: dict[str, list[str]] = {}
        for name in self._path:
            self._by_last.setdefault(_plain(PurePosixPath(name).name), []).append(name)
        self._by_stored: dict[str, list[str]] = {}
        self._where = f"{source.folder}" + (f" or {source.images}" if source.images is not None else "")

    def _add(self, folder: Path, names: Iterable[str]) -> None:
        known = {path.resolve() for path in self._path.values()}
        for name in names:
            path = folder / name
            if PurePosixPath(name).suffix.lower() in SUFFIXES and path.resolve() not in known:
                self._path.setdefault(name, path)

    @property
    def names(self) -> list[str]:
        """All of them, as POSIX paths below the folders."""
        return sorted(self._path)

    def path(self, name: str) -> Path:
        """The file of one of :attr:`names`."""
        return self._path[name]

    def find(self, named: str, what: str, beside: str = "") -> str | None:
        """The one of :attr:`names` that an export means.

        That is the one with this path; or else of those with the same file name the one that shares most of the
        folders.

        Args:
            named: A path, with whichever slashes.
            what: Who names it, for errors.
            beside: The folder, as a POSIX path, that the path may be relative to.

        Returns:
            None if there is none.

        Raises:
            ExportError: Several could be meant.
        """
        given = named.replace("\\", "/")
        for path in (posixpath.normpath(posixpath.join(beside, given)), posixpath.normpath(given)):
            if path in self._path:
                return path
        parts = [_plain(part) for part in PurePosixPath(given).parts if part not in ("..", ".")]
        found = self._by_last.get(parts[-1], []) if parts else []
        shared = {name: _shared(parts, [_plain(part) for part in PurePosixPath(name).parts]) for name in found}
        best = [name for name in found if shared[name] == max(shared.values())]
        if len(best) > 1:
            raise ExportError(
                f"{what} names the picture {named!r}, but there are {len(best)} of that name: {self._path[best[0]]} "
                f"and {self._path[best[1]]}. Name the folder of those that were labelled: --images FOLDER."
            )
        return best[0] if best else None

    def of_bytes(self, named: str, count: int | None) -> str | None:
        """The one of a file name that has some number of bytes; None if there is not exactly one."""
        last = _plain(PurePosixPath(named.replace("\\", "/")).name)
        found = self._by_last.get(last, [])
        same = [name for name in found if count is not None and self._path[name].stat().st_size == count]
        return same[0] if len(same) == 1 else None

    def find_stored(self, stored: Iterable[str]) -> str | None:
        """The one of :attr:`names` whose file's name Label Studio would have stored as one of some names."""
        if not self._by_stored:
            for name in self._path:
                self._by_stored.setdefault(valid_name(PurePosixPath(name).name), []).append(name)
        found = {name for one in stored for name in self._by_stored.get(one, [])}
        return found.pop() if len(found) == 1 else None

    def of_stem(self, stem: str, what: str) -> str | None:
        """The one whose path without its suffix ends in some path, such as a mask's without its own suffix."""
        named = {name for name in self._path if _ends_in(str(PurePosixPath(name).with_suffix("")), stem)}
        last = PurePosixPath(stem).name
        named = named or {name for name in self._path if PurePosixPath(name).stem == last}
        if len(named) > 1:
            first, second = sorted(named)[:2]
            raise ExportError(
                f"{what} may be that of {self._path[first]} or {self._path[second]}. Take one of them away, or name "
                "the folder of those that were labelled: --images FOLDER."
            )
        return named.pop() if named else None

    def missing(self, named: str, count: int) -> ExportError:
        """The error for an export none of whose pictures is there."""
        return ExportError(
            f"None of the {count} pictures that the export names is in {self._where}; the first is {named!r}. Say "
            "where they are: --images FOLDER."
        )


def uploaded_names(address: str) -> list[str]:
    """Paths that a picture may have on disk whose address a tool on the web stores, the likeliest first.

    Args:
        address: Such as ``/data/upload/1/0a1b2c3d-a.jpg``, ``/data/local-files/?d=x/a%20b.jpg`` or ``s3://x/a.jpg``.
    """
    try:
        parts = urlsplit(address)
        asked = parse_qs(parts.query)
    except ValueError:
        return [address]
    paths = [unquote(values[-1]) for key, values in asked.items() if key == "d"]
    for coded in asked.get("fileuri", []):
        try:
            paths += uploaded_names(base64.b64decode(coded, validate=True).decode())
        except (binascii.Error, ValueError):
            continue
    if not paths:
        paths = [address, unquote(parts.path)] if parts.path else [address]
    names = []
    for path in paths:
        folder, _, last = path.replace("\\", "/").rpartition("/")
        names += [path, posixpath.join(folder, _UPLOADED.sub("", last))]
    return list(dict.fromkeys(names))


def valid_name(name: str) -> str:
    """A file's name as Django, and so Label Studio, stores it: ``my photo (1).jpg`` becomes ``my_photo_1.jpg``."""
    return re.sub(r"(?u)[^-\w.]", "", name.strip().replace(" ", "_"))


def split_of(path: str) -> Split | None:
    """The split that the folders of a path, such as ``valid/a.jpg``, name; None if none or more than one do."""
    found = {_SPLITS[part.lower()] for part in PurePosixPath(path).parts[:-1] if part.lower() in _SPLITS}
    return found.pop() if len(found) == 1 else None


def names_without_suffix(paths: Sequence[str]) -> list[str]:
    """The paths without their suffixes, but where that would make two of them one."""
    bare = [path[: len(path) - len(PurePosixPath(path).suffix)] for path in paths]
    counts: dict[str, int] = {}
    for name in [*bare, *paths]:
        counts[name] = counts.get(name, 0) + 1
    return [path if counts[name] > 1 else name for path, name in zip(paths, bare, strict=True)]


def once_each(pictures: Sequence[tuple[str, Annotated]]) -> tuple[Annotated, ...]:
    """Pictures in the order of their names, or an error if two have the same.

    Args:
        pictures: With the path of each, with its suffix, below the folder that it is in.

    Raises:
        ExportError: Two sets of labels are for one picture.
    """
    by_path: dict[str, Annotated] = {}
    for path, picture in pictures:
        if path in by_path:
            raise ExportError(
                f"{by_path[path].source} and {picture.source} are both for the picture {path}. Delete one of them, or "
                "name the folder of the pictures, if these are two: --images FOLDER."
            )
        by_path[path] = picture
    paths = sorted(by_path)
    named = zip(names_without_suffix(paths), (by_path[path] for path in paths), strict=True)
    return tuple(
        sorted(
            (
                Annotated(one.picture, name, one.labels, one.split or split_of(name), one.group, one.source)
                for name, one in named
            ),
            key=lambda one: one.name,
        )
    )


def _plain(part: str) -> str:
    return unicodedata.normalize("NFC", part).casefold()


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts of two paths are equal."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count


def _ends_in(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")
