"""Names for pictures that are made of images, one each, so that none overwrites another."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

SUFFIX = ".png"
# Bytes of a file's name, with room for a suffix, that every common file system takes.
_LONGEST = 250
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def readable(name: str | os.PathLike[str]) -> str:
    """A file's name as text for tables and messages: one line of valid UTF-8, shown in the order that it has.

    Bytes that are no text, control characters and marks that turn the direction of writing stand as ``%0A``.

    Args:
        name: As Python gives it; bytes that are no text are surrogates there.
    """
    text = os.fspath(name)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) if _is_odd(character) else character for character in text)


def output_names(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """A name for the PNG of every image: the shortest form that tells all the images apart.

    That is the stem; or else the path below the folder that all share, without its suffix; or else that path with its
    suffix (``x.jpg`` and ``x.png`` in one folder become ``x.jpg.png`` and ``x.png.png``); or else, for files that
    only a file system that heeds case tells apart, that path with ``_`` for ``/`` and a number. All images have the
    same form. The names do not depend on the order of the images.

    Args:
        paths: The images; relative ones are below the current folder. Paths that differ only in ``.``, ``..`` or
            in being relative are the same image and get the same name; links are images of their own.

    Returns:
        Names without the PNG's suffix, in the order of ``paths``: relative, with ``/`` and without ``..``, as
        :func:`readable` gives them, and no part longer than a file's name may be. No two are equal, also where case
        and Unicode's normal forms are not told apart, and none is a folder of another.
    """
    given = [Path(os.path.abspath(path)) for path in paths]
    if not given:
        return []
    files = sorted(set(given))
    shared = os.path.commonpath({file.parent for file in files})
    relative = [file.relative_to(shared) for file in files]
    forms = ([_as_file(name) for name in form] for form in _forms(relative))
    shortest = next(names for names in forms if _are_apart(names))
    name_of = dict(zip(files, shortest, strict=True))
    return [name_of[path] for path in given]


def names_of_images(dataset: Any) -> dict[str, str]:
    """Output names of all images of a data set.

    Args:
        dataset: A data set of MMEngine, of which every sample has an ``img_path``.

    Returns:
        :func:`output_names` by ``img_path``.
    """
    paths = [dataset.get_data_info(i)["img_path"] for i in range(len(dataset))]
    return dict(zip(paths, output_names(paths), strict=True))


def _forms(paths: Sequence[PurePath]) -> Iterator[list[str]]:
    """Names of each form, the shortest first; those of the last are apart, whatever the paths."""
    yield [_stem(path) for path in paths]
    yield [path.with_name(_stem(path)).as_posix() for path in paths]
    yield [path.as_posix() for path in paths]
    yield [f"{path.as_posix().replace('/', '_')}~{number}" for number, path in enumerate(paths)]


def _stem(path: PurePath) -> str:
    """The stem, unless it is '.' or '..', as of '...jpg', which a file system takes for a folder."""
    return path.stem if path.stem.strip(".") else path.name


def _as_file(name: str) -> str:
    """A name that every file system takes; a part that is too long ends in a hash of it."""
    parts = [readable(part) for part in name.split("/")]
    for i, part in enumerate(parts):
        if len(part.encode()) > _LONGEST:
            digest = hashlib.sha256(part.encode()).hexdigest()[:8]
            parts[i] = part.encode()[: _LONGEST - 9].decode(errors="ignore") + f"~{digest}"
    return "/".join(parts)


def _is_odd(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDIRECTIONAL


def _escaped(character: str) -> str:
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"%{byte:02X}" for byte in character.encode(errors=errors))


def _are_apart(names: Sequence[str]) -> bool:
    """Whether all names can stand for files in one folder: no two are one, and none is the folder of another."""
    files = {_folded(name + SUFFIX) for name in names}
    folders = {_folded(name.rpartition("/")[0]) for name in names}
    above = {parent.as_posix() for folder in folders for parent in PurePath(folder).parents}
    return len(files) == len(names) and files.isdisjoint(folders | above)


def _folded(name: str) -> str:
    """The same for all names that some file system takes for one."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
