"""Masks of which a picture has one a class, found by what their folders or the ends of their names have in common."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from .pairs import named_files
from .splitting import SPLIT_WORDS

_ENDING = re.compile(r"[-_. ]+")
_NUMBER = re.compile(r"[-_. ]*\d*$")
_LOSSY = (".jpg", ".jpeg")


class ClassPairs(NamedTuple):
    """What belongs together.

    Attributes:
        found: (class, mask) of each picture, by POSIX paths; the masks of a picture are sorted.
        without_mask: Pictures.
        without_picture: Masks.
        by: What says the class: 'folders' or 'ends of names'.
    """

    found: dict[str, list[tuple[str, str]]]
    without_mask: list[str]
    without_picture: list[str]
    by: str


class _Mask(NamedTuple):
    """A mask of a picture: folders that the picture does not have, and what its name has beside the picture's."""

    picture: str
    folder: str
    ending: str


def find_class_pairs(masks: Iterable[str], pictures: Iterable[str] | None = None) -> ClassPairs | None:
    """Find the masks of each picture, ``masks/cat/a.png`` or ``masks/a_cat.png`` of ``images/a.jpg``.

    Args:
        masks: Files, of which those are masks that a word such as 'masks' calls so.
        pictures: Files of the pictures, where they lie elsewhere; None where they are among ``masks``.

    Returns:
        None if not every mask of a picture says a class, or no picture has masks of two.
    """
    named = named_files(masks)
    keys = {name: one.key for name, one in named.items()}
    of_masks = {name for name, one in named.items() if one.is_mask}
    if pictures is not None:
        of_masks, of_pictures = set(named), {name: one.key for name, one in named_files(pictures).items()}
    elif of_masks:
        of_pictures = {name: key for name, key in keys.items() if name not in of_masks}
    else:
        # Nothing says mask: a_cat.png beside a.jpg.
        of_pictures = {name: key for name, key in keys.items() if name.lower().endswith(_LOSSY)}
        of_masks = keys.keys() - of_pictures.keys()
    found, left = _matched({name: keys[name] for name in sorted(of_masks)}, of_pictures)
    if not found:
        return None
    folders = {one.folder for one in found.values()}
    by_folders = "" not in folders and len(folders) > 1
    classes = {name: one.folder if by_folders else one.ending for name, one in found.items()}
    spelled: dict[str, str] = {}
    of_picture: dict[str, list[tuple[str, str]]] = {}
    for mask, kind in classes.items():
        name = spelled.setdefault(kind, _as_written(kind, mask, by_folders))
        of_picture.setdefault(found[mask].picture, []).append((name, mask))
    if "" in classes.values() or not any(len({kind for kind, _ in some}) > 1 for some in of_picture.values()):
        return None
    without = sorted(name for name in of_pictures if name not in of_picture)
    return ClassPairs(dict(sorted(of_picture.items())), without, left, "folders" if by_folders else "ends of names")


def _matched(masks: Mapping[str, str], pictures: Mapping[str, str]) -> tuple[dict[str, _Mask], list[str]]:
    """The picture of each mask, by their keys, and the masks without one."""
    of_stem: dict[str, list[str]] = {}
    for name, key in pictures.items():
        of_stem.setdefault(PurePosixPath(key).name, []).append(name)
    found, left = {}, []
    for mask, key in masks.items():
        *folders, stem = PurePosixPath(key).parts
        # The longest name of a picture that the mask's begins with.
        ends = [len(stem), *(mark.start() for mark in reversed(list(_ENDING.finditer(stem))))]
        end = next((end for end in ends if stem[:end] in of_stem), None)
        if end is None:
            left.append(mask)
            continue
        shared = {
            name: len(set(folders) & set(PurePosixPath(pictures[name]).parts[:-1])) for name in of_stem[stem[:end]]
        }
        best = [name for name, count in shared.items() if count == max(shared.values())]
        if len(best) > 1:
            left.append(mask)
            continue
        known = {*PurePosixPath(pictures[best[0]]).parts[:-1], *SPLIT_WORDS}
        others = [folder for folder in folders if folder not in known]
        ending = _NUMBER.sub("", stem[end:].lstrip("-_. "))
        found[mask] = _Mask(best[0], others[-1] if others else "", ending)
    return found, left


def _as_written(kind: str, mask: str, by_folders: bool) -> str:
    """The name of a class with the capital letters that the path of a mask of it has."""
    path = PurePosixPath(mask)
    for part in reversed(path.parts[:-1]) if by_folders else [path.stem]:
        if (start := part.lower().rfind(kind)) >= 0:
            return part[start : start + len(kind)]
    return kind
