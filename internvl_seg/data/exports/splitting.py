"""Which pictures are for training, which for validation and which for the test."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, get_args

from ..class_files import read_lines
from ..folder_errors import FolderError
from .export import Annotated, SourceError, Split

SPLITS: tuple[Split, ...] = get_args(Split)
DEFAULT_SHARES = (0.8, 0.1, 0.1)
# As tools and authors call them; in names of files the short words may mean anything: TR_0012.jpg is of Turkey.
_SHORT: Mapping[str, Split] = {"trn": "train", "tr": "train", "dev": "val", "tst": "test"}
_WORDS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SPLIT_WORDS: Mapping[str, Split] = {**_WORDS, **_SHORT}
# How many seeds are looked at for one that leaves no split empty.
_SEEDS = 10_000


class Splits(NamedTuple):
    """What was decided.

    Attributes:
        of: The split of each group or picture.
        seed: With which it was drawn; None if nothing was drawn.
        how: In words.
        notes: What is to be known, a sentence each.
    """

    of: dict[str, Split]
    seed: int | None
    how: str
    notes: tuple[str, ...] = ()


def number_of(seed: int, name: str) -> float:
    """A number from 0 to 1 that depends on nothing but a seed and a name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") / 2**64


def read_shares(text: str) -> tuple[float, float, float]:
    """Shares of training, validation and test, as ``0.8,0.1,0.1`` or ``80,20``.

    Raises:
        SourceError: They are none.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not 1 <= len(values) <= len(SPLITS) or min(values) < 0 or not 0 < sum(values) < float("inf"):
        raise SourceError(f"--split {text}: expected shares of train, val and test, such as 0.8,0.1,0.1; 0 for none.")
    values += [0.0] * (len(SPLITS) - len(values))
    total = sum(values)
    return values[0] / total, values[1] / total, values[2] / total


def group_names(pictures: Sequence[Annotated], pattern: str | None) -> dict[str, str]:
    """The group of each picture, by its name.

    Args:
        pictures: The pictures.
        pattern: A regular expression that is looked for in a picture's name: its first group, or all that it matches,
            is the name of the group. 'folder' for the folder that it is in, 'picture' for each its own. None for what
            the export says, each its own where it says nothing.

    Raises:
        SourceError: It is no regular expression, or does not occur in a name.
    """
    if pattern is None:
        return {picture.name: picture.group or picture.name for picture in pictures}
    if pattern == "picture":
        return {picture.name: picture.name for picture in pictures}
    if pattern == "folder":
        return {picture.name: PurePosixPath(picture.name).parent.as_posix() for picture in pictures}
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SourceError(f"--group {pattern} is no regular expression: {error}.") from error
    found = {picture.name: expression.search(picture.name) for picture in pictures}
    if missing := [name for name, match in found.items() if match is None]:
        raise SourceError(
            f"--group {pattern} does not occur in {len(missing)} of {len(found)} names, the first is {missing[0]!r}. "
            "Names are paths in the export without the suffix; the expression has to match all of them."
        )
    return {name: (match[1] if expression.groups else match[0]) or "" for name, match in found.items() if match}


def draw_splits(groups: Iterable[str], shares: tuple[float, float, float], seed: int | None = None) -> Splits:
    """Give each group a split by a number that depends on its name and a seed alone.

    Groups that are added later change nothing for the others.

    Args:
        groups: Their names.
        shares: Of train, val and test; their sum is 1.
        seed: Any whole number; None for the first from 0 up that leaves no split empty that has a share.

    Raises:
        SourceError: A split that has a share would be empty.
    """
    names = sorted(set(groups))
    wanted = [split for split, share in zip(SPLITS, shares, strict=True) if share > 0]
    if len(names) < len(wanted):
        raise SourceError(
            f"{len(names)} groups cannot be in {len(wanted)} splits ({', '.join(wanted)}). Add pictures, leave a split "
            "out (--split 0.8,0,0.2), or cut large pictures and split their parts: --tile 512 --split-tiles blocks."
        )
    drawn: dict[str, Split] = {}
    for tried in [seed] if seed is not None else range(_SEEDS):
        drawn = {name: _at(number_of(tried, name), shares) for name in names}
        if set(drawn.values()) == set(wanted):
            text = ", ".join(f"{split} {share:.3g}" for split, share in zip(SPLITS, shares, strict=True))
            notes: tuple[str, ...] = ()
            if seed is None and tried:
                notes = (
                    f"The splits were drawn with seed {tried}, the first that leaves none empty; give it when pictures "
                    f"are added, so that none changes its split: --seed {tried}.",
                )
            return Splits(drawn, tried, f"drawn by shares ({text}) of {len(names)} groups, seed {tried}", notes)
    empty = [split for split in wanted if split not in drawn.values()]
    raise SourceError(
        f"Shares of {', '.join(f'{share:.3g}' for share in shares)} leave {' and '.join(empty)} without any of the "
        f"{len(names)} groups with seed {seed}. Leave --seed out, or take other shares (--split)."
    )


def _at(number: float, shares: Sequence[float]) -> Split:
    end = 0.0
    last: Split = "train"
    for split, share in zip(SPLITS, shares, strict=True):
        end += share
        if share > 0:
            last = split
            if number < end:
                return split
    return last


def read_lists(pictures: Sequence[Annotated], files: Sequence[Path]) -> Splits:
    """Splits as lists of names say, whose files are called after them: ``train.txt``, ``my_val.txt``.

    Args:
        pictures: The pictures.
        files: Of a name a line: that of the export, its last part or a path that ends in either; a suffix is no matter.

    Raises:
        SourceError: A file's name says no split, a line names no picture or several, or two lists name the same one.
    """
    by_name: dict[str, list[str]] = {}
    for picture in pictures:
        parts = PurePosixPath(picture.name).parts
        for start in range(len(parts)):
            by_name.setdefault("/".join(parts[start:]), []).append(picture.name)
    names = {picture.name for picture in pictures}
    found: dict[str, Split] = {}
    for file in files:
        split = split_in(re.split(r"[^a-z0-9]+", file.stem.lower()))
        if split is None:
            raise SourceError(f"{file}: its name says no split. Call it train.txt, val.txt or test.txt.")
        for number, line in enumerate(_lines_of(file), start=1):
            if not (line := line.strip()):
                continue
            match = _listed(line, names, by_name)
            if len(match) != 1:
                what = "no picture of the export" if not match else f"{len(match)} pictures: {match[0]}, {match[1]}"
                raise SourceError(f"{file}:{number}: {line!r} is {what}. Write the name as the export has it.")
            if found.setdefault(match[0], split) != split:
                raise SourceError(f"{file}:{number}: {line!r} is in the list of {found[match[0]]}, too. Keep one.")
    return Splits(found, None, f"as listed in {', '.join(file.name for file in files)}")


def _lines_of(file: Path) -> list[str]:
    try:
        return read_lines(file)
    except FolderError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        raise SourceError(f"--split-list {file} cannot be read: {error.strerror}. Name a file of names.") from error


def _listed(line: str, names: set[str], by_name: Mapping[str, list[str]]) -> list[str]:
    """The pictures that a line may name."""
    path = PurePosixPath(line.replace("\\", "/"))
    # A list may name the mask behind the picture, as MMSegmentation's and CamVid's do.
    first = PurePosixPath(*line.replace("\\", "/").replace(",", " ").split()[:1])
    for whole in dict.fromkeys((path, path.with_suffix(""), first, first.with_suffix("")) if first.name else (path,)):
        parts = whole.parts
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if name in names:
                return [name]
            if name in by_name:
                return by_name[name]
    return []


def split_in(words: Iterable[str], *, short: bool = True) -> Split | None:
    """The split that some words, such as the folders of a path, name; None if they name none or more than one.

    Args:
        words: In lower case.
        short: Whether short words such as 'tr' and 'dev' count.
    """
    known = SPLIT_WORDS if short else _WORDS
    found = {known[word] for word in words if word in known}
    return found.pop() if len(found) == 1 else None


def split_of(path: str) -> Split | None:
    """The split that a file's or folder's name has as a word: 'val' of 'instances_val2017.json' or 'valid'.

    Args:
        path: POSIX; of its parts, the file's name among them, that which is nearest to the end and names one counts.
    """
    parts = reversed(PurePosixPath(path.lower()).parts)
    named = (split_in(re.findall("[a-z]+", part), short=False) for part in parts)
    return next(filter(None, named), None)
