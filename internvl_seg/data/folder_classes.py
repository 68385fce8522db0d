"""The classes of a folder: their names, their colours, and what becomes of the ids in its masks."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .class_files import Colour, read_class_file
from .confusion import IGNORED
from .folder_errors import LAYOUT, PAGE, FolderError
from .folder_pairs import PairedFolders
from .masks import LabelError, read_mask
from .palette import distinct_palette

NAMES = "classes.txt"
SPLITS = ("train", "val", "test", "training", "valid", "validation", "testing")
# More are no count of classes, but values of something else.
MOST_IDS = 256
# The highest id of masks that have been counted already, by their names, sizes and times: three data sets of a config
# have the same.
_counted: dict[tuple[Any, ...], int] = {}


@dataclass(frozen=True)
class FolderClasses:
    """Classes of a data set.

    Attributes:
        names: Of the classes, in the order of the ids that training sees.
        palette: A colour of each, RGB.
        label_map: What becomes of the masks' ids, as MMSegmentation has it; None if nothing does.
    """

    names: list[str]
    palette: list[list[int]]
    label_map: dict[int, int] | None = None


def find_classes(
    root: Path, folders: PairedFolders, ignored: int = IGNORED, reduce_zero_label: bool = False
) -> list[tuple[str, Colour | None]]:
    """The classes of a folder's masks.

    Args:
        root: Folder of the data set; its ``classes.txt``, when there is one, names them
            (:func:`.class_files.read_class_file`).
        folders: A split of it. Where there is no such file the ids in the masks of all splits count: those in this
            split's folders, and in those that have another split's name in the place of its own.
        ignored: A label that is no class, beside 255.
        reduce_zero_label: Whether 0 is none, either, and the ids are one less than in the masks.

    Raises:
        FolderError: There are no names and no masks to count, or one of them holds no ids.
    """
    if (root / NAMES).is_file():
        return list(read_class_file(root / NAMES))
    masks = {mask for split in _all_splits(folders) for mask in _masks_of(split)}
    if not masks:
        # The images are looked at first: what is wrong with them is said rather than that masks are missing.
        where = folders.masks or root
        raise FolderError(
            f"{where} holds no mask of the {len(folders.stems)} images in {folders.images}, and there is no "
            f"{root / NAMES} that names the classes. Expected {LAYOUT} ({PAGE})."
        )
    highest = _highest_id(sorted(masks), ignored)
    # Each id is its own name, as it is in the masks.
    return [(f"class {i}", None) for i in range(int(reduce_zero_label), highest + 1)]


def merge_metainfo(
    own: Sequence[tuple[str, Colour | None]] | None, metainfo: Mapping[str, Any], dropped: int
) -> FolderClasses:
    """The classes that a config asks for, of those that a folder has.

    Args:
        own: The folder's classes; None if nothing names them, and so the config does.
        metainfo: The data set's ``metainfo``: ``classes``, a list of names or a file of them, are some of the folder's
            in whatever order, of which the others are ignored; ``palette`` has a colour for each of them, or for each
            of the folder's.
        dropped: The label of classes that are left out.

    Raises:
        FolderError: There is another class, or one twice, or another number of colours.
    """
    given = metainfo.get("classes")
    wanted: list[tuple[str, Colour | None]]
    if isinstance(given, (str, os.PathLike)):
        wanted = list(read_class_file(Path(given)))
    elif not isinstance(given, (list, tuple, type(None))):
        raise FolderError(f"metainfo.classes = {given!r}: expected names of classes, in a list ({PAGE}).")
    else:
        wanted = [(name, None) for name in given] if given is not None else list(own or ())
    names = [name for name, _ in wanted]
    own = wanted if own is None else own
    places = {name: i for i, (name, _) in enumerate(own)}
    if not names or not all(isinstance(name, str) and name for name in names):
        raise FolderError(f"metainfo.classes = {given!r}: expected names of classes, in a list ({PAGE}).")
    if again := [name for i, name in enumerate(names) if name in names[:i]]:
        raise FolderError(f"metainfo.classes names {again[0]!r} twice.")
    if strange := [name for name in names if name not in places]:
        raise FolderError(
            f"metainfo.classes names {strange[0]!r}, which {NAMES} does not: it has {', '.join(places)}. Choose among "
            f"these; to give a class another name, change {NAMES} ({PAGE})."
        )
    colours = _colours(own, wanted, metainfo.get("palette"))
    if names == list(places):
        return FolderClasses(names, colours)
    return FolderClasses(
        names, colours, {i: names.index(name) if name in names else dropped for name, i in places.items()}
    )


def _colours(
    own: Sequence[tuple[str, Colour | None]], wanted: Sequence[tuple[str, Colour | None]], palette: Any
) -> list[list[int]]:
    """A colour for each wanted class: of the palette, or of its file, or else one that no other has."""
    places = {name: i for i, (name, _) in enumerate(own)}
    if palette is None:
        kept = {name: own[places[name]][1] if colour is None else colour for name, colour in wanted}
        taken = [list(colour) for colour in kept.values() if colour is not None]
        free = distinct_palette(len(own))
        more = [colour for colour in distinct_palette(len(own) + len(taken)) if colour not in taken]
        fill = {name: free[i] if free[i] not in taken else more[i % len(more)] for name, i in places.items()}
        return [fill[name] if colour is None else list(colour) for name, colour in kept.items()]
    if len(palette) not in (len(wanted), len(own)) or not all(_is_colour(colour) for colour in palette):
        raise FolderError(
            f"metainfo.palette = {palette!r}: expected {len(wanted)} colours, one a class, each three whole numbers "
            f"from 0 to 255 ({PAGE})."
        )
    if len(palette) == len(wanted):
        return [list(colour) for colour in palette]
    return [list(palette[places[name]]) for name, _ in wanted]


def _is_colour(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in value)
    )


def _all_splits(folders: PairedFolders) -> Iterable[PairedFolders]:
    """A split and those beside it, which have the names of other splits in the place of its own."""
    yield folders
    if folders.masks is None:
        return
    for split in SPLITS:
        images, masks = _renamed(folders.images, split), _renamed(folders.masks, split)
        if masks not in (None, folders.masks) and images not in (None, folders.images) and images.is_dir():
            yield PairedFolders(images, masks, folders.img_suffix, folders.seg_map_suffix)


def _renamed(folder: Path, split: str) -> Path | None:
    """A folder of another split; None if nothing in its name is a split."""
    for place in reversed(range(len(folder.parts))):
        if folder.parts[place].lower() in SPLITS:
            return Path(*folder.parts[:place], split, *folder.parts[place + 1 :])
    return None


def _masks_of(folders: PairedFolders) -> list[Path]:
    if folders.masks is None:
        return []
    return [mask for _, mask in folders.pairs() if mask.is_file()]


def _highest_id(masks: Sequence[Path], ignored: int) -> int:
    def highest(mask: Path) -> int:
        try:
            ids = read_mask(str(mask))
        except LabelError as error:
            raise FolderError(str(error)) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise FolderError(f"{mask} cannot be read: {error}. Copy it again, or take it away.") from error
        return int(ids[(ids != IGNORED) & (ids != ignored)].max(initial=0))

    key = (ignored, *((str(mask), (status := mask.stat()).st_size, status.st_mtime_ns) for mask in masks))
    if key not in _counted:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(highest, masks))
        top = max(found)
        if top >= MOST_IDS:
            raise FolderError(
                f"{masks[found.index(top)]} holds {top}: there would be {top + 1} classes. If these are ids, name the "
                f"classes in {NAMES} ({PAGE})."
            )
        _counted.clear()
        _counted[key] = top
    return _counted[key]
