"""Names for pictures that are made of images, one each, so that none overwrites another."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
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


def output_names(
    paths: Sequence[str | os.PathLike[str]], kept: Sequence[str | None] | None = None, taken: Iterable[str] = ()
) -> list[str]:
    """A name for the PNG of every image: the shortest form that tells all the images apart.

    That is the stem; or else the path below the folder that all share, without its suffix. Where neither does, images
    of equal names have their suffix, too, and no others: ``x.jpg``, ``x.png`` and ``y.png`` in one folder become
    ``x.jpg.png``, ``x.png.png`` and ``y.png``. Files that only a file system that heeds case tells apart have that path
    with ``_`` for ``/`` and a number. The names do not depend on the order of the images.

    Args:
        paths: The images; relative ones are below the current folder. Paths that differ only in ``.``, ``..`` or
            in being relative are the same image and get the same name; links are images of their own.
        kept: For every image the name that it has already, or None; the others get names beside these.
        taken: Names that no image without a name may get, either.

    Returns:
        Names without the PNG's suffix, in the order of ``paths``: relative, with ``/`` and without ``..``, as
        :func:`readable` gives them, and no part longer than a file's name may be. No two are equal, also where case
        and Unicode's normal forms are not told apart, and none is a folder of another.
    """
    given = [Path(os.path.abspath(path)) for path in paths]
    if not given:
        return []
    name_of = {path: name for path, name in zip(given, kept or (), strict=False) if name is not None}
    if files := sorted(set(given) - name_of.keys()):
        shared = os.path.commonpath({path.parent for path in given})
        others = {*taken, *name_of.values()}
        forms = _forms([file.relative_to(shared) for file in files], others)
        shortest = next(names for names in forms if not _clashing(names, others))
        name_of |= dict(zip(files, shortest, strict=True))
    return [name_of[path] for path in given]


def is_output_name(name: str) -> bool:
    """Whether a name, which a file says, is one that :func:`output_names` may give: it leads nowhere else."""
    return name == _as_file(name) and not any(part in ("", ".", "..") for part in name.split("/"))


def names_of_images(dataset: Any) -> dict[str, str]:
    """Output names of all images of a data set.

    Args:
        dataset: A data set of MMEngine, of which every sample has an ``img_path``.

    Returns:
        :func:`output_names` by ``img_path``.
    """
    paths = [dataset.get_data_info(i)["img_path"] for i in range(len(dataset))]
    return dict(zip(paths, output_names(paths), strict=True))


def _forms(paths: Sequence[PurePath], taken: Iterable[str]) -> Iterator[list[str]]:
    """Names of each form, the shortest first; one of the last is apart from all, whatever the paths."""
    stems = [_as_file(_stem(path)) for path in paths]
    below = [_as_file(path.with_name(_stem(path)).as_posix()) for path in paths]
    whole = [_as_file(path.as_posix()) for path in paths]
    yield stems
    yield below
    yield _lengthened(stems, [_as_file(path.name) for path in paths], taken)
    yield _lengthened(below, whole, taken)
    yield whole
    flat = [path.as_posix().replace("/", "_") for path in paths]
    for start in count(0, len(paths)):
        yield [_as_file(f"{name}~{number}") for number, name in enumerate(flat, start=start)]


def _lengthened(names: Sequence[str], longer: Sequence[str], taken: Iterable[str]) -> list[str]:
    """Names, of which those that clash are longer."""
    lengthened = list(names)
    while short := [i for i in _clashing(lengthened, taken) if lengthened[i] != longer[i]]:
        for i in short:
            lengthened[i] = longer[i]
    return lengthened


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


def _clashing(names: Sequence[str], taken: Iterable[str]) -> list[int]:
    """Which names cannot stand for files in one folder: those that are another's, or the folder of another."""
    files, there = ([folded(name + SUFFIX) for name in group] for group in (names, taken))
    counts = Counter([*files, *there])
    above = {parent for folder in {file.rpartition("/")[0] for file in counts} for parent in _and_above(folder)}
    in_the_way = above.intersection(there)
    return [
        i
        for i, file in enumerate(files)
        if counts[file] > 1 or file in above or (in_the_way and not in_the_way.isdisjoint(_and_above(file)))
    ]


def _and_above(folder: str) -> list[str]:
    return [folder, *(parent.as_posix() for parent in PurePath(folder).parents)]


def folded(name: str) -> str:
    """The same text for all names that some file system takes for one."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
