"""Images inside tar and zip archives, read where they stand.

A path into an archive is ``tar:///data/val.tar::OFFSET+SIZE::NAME`` or ``zip:///data/val.zip::NAME``. MMEngine's file
clients take it wherever they take a file, so pipelines need not know. Python's own ``tarfile`` and ``zipfile`` list
the members: timm's reader keeps its index in a pickle and knows no zip, and fsspec lists a folder of an archive by
going through all members.
"""

import functools
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from mmengine.fileio import BaseStorageBackend, register_backend

_KINDS = ("tar", "zip")
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Of archives, also of those that cannot be read in places.
SUFFIXES = (*(f".{kind}" for kind in _KINDS), *_COMPRESSED)
# Bytes of a member, unpacked: the largest picture that Pillow takes has as many.
_LARGEST = 512 << 20
# A picture is hardly smaller when it is packed; zeros are a thousand times.
_SMALL, _RATIO = 64 << 20, 100
_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RecursionError,
    ValueError,
)


class ArchiveError(RuntimeError):
    """An archive cannot be read."""


def list_archive(path: Path) -> dict[str, str]:
    """Every file in an archive, by its name there, with the path that reads it.

    An archive in a tar archive (as in ImageNet's for training) counts as a folder of its name without the suffix.

    Args:
        path: A ``.tar`` or ``.zip`` file.

    Raises:
        ArchiveError: It is compressed as a whole, encrypted or damaged, or holds what no data set does: names outside
            of the archive, or files that would fill the memory.
    """
    if path.name.lower().endswith(_COMPRESSED):
        raise ArchiveError(
            f"{path} is compressed as a whole, so no image in it can be read without all before it. Decompress it to a "
            ".tar first, such as by gunzip."
        )
    where = os.path.abspath(path)
    try:
        if path.suffix.lower() == ".zip":
            found = {name: f"zip://{where}::{name}" for name in _zip_names(path)}
        else:
            with path.open("rb") as file:
                found = {name: f"tar://{where}::{start}+{size}::{name}" for name, start, size in _tar_members(file)}
    except _UNREADABLE as error:
        raise ArchiveError(f"{path} cannot be read as an archive: {error}. Download or copy it again.") from error
    for name in found:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ArchiveError(
                f"{path} holds {name!r}, a name outside of it, as no data set does. It was made to harm."
            )
    return found


def file_of(path: str) -> str:
    """The file on the disk that a path reads: the archive, if it is one into an archive."""
    kind, _, rest = path.partition("://")
    return rest.partition("::")[0] if kind in _KINDS and rest else path


def _zip_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    if any(info.flag_bits & 1 for info in infos):
        raise ArchiveError(f"{path} is encrypted. Unpack it with its password into a folder.")
    for info in infos:
        _check_size(path, info.filename, info.file_size, info.compress_size)
    return [info.filename for info in infos]


def _check_size(path: str | os.PathLike[str], name: str, size: int, packed: int) -> None:
    """Check that a member can be read: ``zipfile`` unpacks no more of it than the size in its header."""
    if size > _LARGEST or (size > _SMALL and size > _RATIO * packed):
        raise ArchiveError(
            f"{name} in {os.fspath(path)} has {size / 2**20:,.0f} MiB, of {packed / 2**20:,.1f} MiB packed: that is no "
            "picture. Take it out of the archive."
        )


def _tar_members(file: IO[bytes], start: int = 0, below: str = "") -> Iterator[tuple[str, int, int]]:
    """Name, first byte in the outermost file, and size of every file in a tar archive and in those inside."""
    first: dict[str, tuple[int, int]] = {}
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            name = below + member.name.removeprefix("./")
            # A file that is there under several names is stored once.
            if member.islnk() and member.linkname in first:
                yield name, *first[member.linkname]
            if not member.isfile():
                continue
            if member.issparse():
                raise tarfile.TarError(f"{name} is stored without its zeros")
            first[member.name] = start + member.offset_data, member.size
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
    """Reads the paths of :func:`list_archive` for MMEngine's file clients. Threads may share it."""

    def get(self, filepath: str) -> bytes:
        """The bytes of a file in an archive.

        Raises:
            ArchiveError: It has been changed or cut since it was listed.
        """
        kind, _, rest = str(filepath).partition("://")
        if kind == "zip":
            path, name = rest.split("::", 1)
            try:
                archive = _open_zip(path, os.getpid())
                info = archive.getinfo(name)
                _check_size(path, name, info.file_size, info.compress_size)
                return archive.read(info)
            except _UNREADABLE as error:
                raise ArchiveError(f"{name} in {path} cannot be read: {error}. Copy the archive again.") from error
        path, span, name = rest.split("::", 2)
        start, size = map(int, span.split("+"))
        _check_size(path, name, size, size)
        with open(path, "rb") as file:
            file.seek(start)
            content = file.read(size)
        if len(content) != size:
            raise ArchiveError(f"{name} in {path} is cut short: {len(content)} of {size} bytes. Copy it again.")
        return content

    def get_text(self, filepath: str, encoding: str = "utf-8") -> str:
        """The text of a file in an archive."""
        return self.get(filepath).decode(encoding)
