"""Pictures that tools on the web only name, by an address, a size or a mask."""

import base64
import binascii
import posixpath
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from .export import SourceError
from .picture_index import PictureIndex

# Label Studio puts eight hex digits before the names of files that are uploaded.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


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
    paths = list(asked.get("d", []))
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


def by_stored_name(index: PictureIndex) -> Callable[[Iterable[str]], str | None]:
    """What finds the picture whose file's name Label Studio would have stored as one of some names."""
    files: dict[str, list[str]] = {}
    for file in index.files:
        files.setdefault(_stored(PurePosixPath(file).name), []).append(file)

    def find(names: Iterable[str]) -> str | None:
        found = {file for name in names for file in files.get(name, [])}
        return found.pop() if len(found) == 1 else None

    return find


def _stored(name: str) -> str:
    """As Django, and so Label Studio, stores it: ``my photo (1).jpg`` becomes ``my_photo_1.jpg``."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def by_size(index: PictureIndex) -> Callable[[str, int], str | None]:
    """What finds the picture of a file name that has some number of bytes, if exactly one has."""
    files: dict[str, list[str]] = {}
    for file in index.files:
        files.setdefault(PurePosixPath(file).name, []).append(file)

    def find(name: str, size: int) -> str | None:
        found = files.get(PurePosixPath(name.replace("\\", "/")).name, [])
        # Only where there are several is it needed which.
        same = [file for file in found if len(found) > 1 and index.path(file).stat().st_size == size]
        return same[0] if len(same) == 1 else None

    return find


def by_stem(index: PictureIndex, leave_out: Collection[str] = ()) -> Callable[[str, str], str | None]:
    """What finds the picture of a mask by its path without the suffix.

    Args:
        index: The pictures.
        leave_out: Those that are masks themselves.

    Returns:
        A function of that path and of who asks, for errors.

    Raises:
        SourceError: By the function, if several could be meant.
    """
    files: dict[str, list[str]] = {}
    for file in index.files:
        if file not in leave_out:
            files.setdefault(PurePosixPath(file).stem, []).append(file)

    def find(stem: str, what: str) -> str | None:
        found = files.get(PurePosixPath(stem).name, [])
        whole = [file for file in found if f"/{PurePosixPath(file).with_suffix('')}".endswith(f"/{stem}")]
        if len(whole or found) > 1:
            first, second = (whole or found)[:2]
            raise SourceError(
                f"{what} may be that of {index.path(first)} or {index.path(second)}. Take one of them away, or name "
                "the folder of those that were labelled: --images FOLDER."
            )
        return next(iter(whole or found), None)

    return find
