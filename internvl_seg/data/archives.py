"""Images inside tar and zip archives, read where they stand.

A path into an archive is ``tar:///data/val.tar::OFFSET+SIZE::NAME`` or ``zip:///data/val.zip::NAME``. MMEngine's file
clients take it wherever they take a file, so pipelines need not know. Python's own ``tarfile`` and ``zipfile`` list
the members: timm's reader keeps its index in a pickle and knows no zip, and fsspec lists a folder of an archive by
going through all members.
"""

import functools
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mmengine.fileio import BaseStorageBackend, register_backend

_KINDS = ("tar", "zip")
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Of archives, also of those that cannot be read in places.
SUFFIXES = (*(f".{kind}" for kind in _KINDS), *_COMPRESSED)


class ArchiveError(RuntimeError):
    """An archive cannot be read."""


def list_archive(path: Path) -> dict[str, str]:
    """Every file in an archive, by its name there, with the path that reads it.

    An archive in a tar archive (as in ImageNet's for training) counts as a folder of its name without the suffix.

    Args:
        path: A ``.tar`` or ``.zip`` file.

    Raises:
        ArchiveError: It is compressed as a whole, encrypted or damaged.
    """
    if path.name.lower().endswith(_COMPRESSED):
        raise ArchiveError(
            f"{path} is compressed as a whole, so no image in it can be read without all before it. Decompress it to a "
            ".tar first, such as by gunzip."
        )
    where = os.path.abspath(path)
    try:
        if path.suffix.lower() == ".zip":
            return {name: f"zip://{where}::{name}" for name in _zip_names(path)}
        with path.open("rb") as file:
            return {name: f"tar://{where}::{start}+{size}::{name}" for name, start, size in _tar_members(file)}
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ArchiveError(f"{path} cannot be read as an archive: {error}. Download or copy it again.") from error


def _zip_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.flag_bits & 1 for info in infos):
        raise ArchiveError(f"{path} is encrypted. Unpack it with its password into a folder.")
    return [info.filename for info in infos]


def _tar_members(file: IO[bytes], start: int = 0, below: str = "") -> Iterator[tuple[str, int, int]]:
    """Name, first byte in the outermost file, and size of every file in a tar archive and in those inside."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if not member.isfile():
                continue
            name = below + member.name.removeprefix("./")
            if name.endswith(".tar"):
                inner = archive.extractfile(member)
                assert inner is not None
                yield from _tar_members(inner, start + member.offset_data, name.removesuffix(".tar") + "/")
            else:
                yield name, start + member.offset_data, member.size


@functools.lru_cache(maxsize=8)
def _open_zip(path: str, process: int) -> zipfile.ZipFile:
    """A zip archive, opened once in each process: a position in a file is shared with processes forked later."""
    return zipfile.ZipFile(path)


@register_backend("archive", prefixes=list(_KINDS))
class ArchiveBackend(BaseStorageBackend):
    """Reads the paths of :func:`list_archive` for MMEngine's file clients."""

    def get(self, filepath: str) -> bytes:
        """The bytes of a file in an archive.

        Raises:
            ArchiveError: It has been changed or cut since it was listed.
        """
        kind, _, rest = str(filepath).partition("://")
        if kind == "zip":
            path, name = rest.split("::", 1)
            try:
                return _open_zip(path, os.getpid()).read(name)
            except (zipfile.BadZipFile, KeyError, OSError) as error:
                raise ArchiveError(f"{name} in {path} cannot be read: {error}. Copy the archive again.") from error
        path, span, name = rest.split("::", 2)
        start, size = map(int, span.split("+"))
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read(size)
        if len(content) != size:
            raise ArchiveError(f"{name} in {path} is cut short: {len(content)} of {size} bytes. Copy it again.")
        return content

    def get_text(self, filepath: str, encoding: str = "utf-8") -> str:
        """The text of a file in an archive."""
        return self.get(filepath).decode(encoding)
