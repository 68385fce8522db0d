"""Folders of pictures and masks that no tool has laid out: what :mod:`.formats` of colours and of ids share."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..scanning import scan_folder
from .export import Annotated, ExportError, Labels
from .mask_files import is_coloured
from .pairs import Pairs, find_pairs, split_of_folders
from .source import Source

# Masks that are looked at to tell colours from ids.
_LOOKED_AT = 12


class PlainMasks(NamedTuple):
    """Pictures and masks of a folder.

    Attributes:
        pairs: Their names.
        masks: Paths of the masks of pictures, in the order of the pairs.
        of_picture: Path of each picture.
    """

    pairs: Pairs
    masks: list[Path]
    of_picture: Callable[[str], Path]

    @property
    def sample(self) -> list[Path]:
        """Some of the masks, spread evenly."""
        step = max(len(self.masks) // _LOOKED_AT, 1)
        return self.masks[::step][:_LOOKED_AT]

    def notes(self) -> list[str]:
        """What was found and not used."""
        found = []
        for names, what in (
            (self.pairs.without_picture, "masks have no picture"),
            (self.pairs.others, "masks are further ones of pictures that have one, and are not used"),
        ):
            if names:
                found.append(f"{len(names)} {what}; the first is {names[0]}.")
        return found

    def annotated(self, labels: Callable[[Path], Labels]) -> tuple[Annotated, ...]:
        """All pictures, with the labels of their masks."""
        masks = dict(zip((picture for picture, _ in self.pairs.found), self.masks, strict=True))
        pictures = sorted([*masks, *self.pairs.without_mask])
        stems = [PurePosixPath(name).with_suffix("").as_posix() for name in pictures]
        counts, found = Counter(stems), []
        for file, stem in zip(pictures, stems, strict=True):
            mask = masks.get(file)
            name = stem if counts[stem] == 1 else file
            source = str(mask) if mask else file
            split = split_of_folders(file)
            found.append(Annotated(self.of_picture(file), name, labels(mask) if mask else None, split, source=source))
        return tuple(sorted(found, key=lambda picture: picture.name))


def find_masks(source: Source) -> PlainMasks:
    """The pictures and masks of a folder."""
    if source.images is None:
        pairs = find_pairs(source.files)
        return PlainMasks(pairs, [source.path(mask) for _, mask in pairs.found], source.path)
    images = source.images
    pairs = find_pairs(source.files, scan_folder(images))
    return PlainMasks(pairs, [source.path(mask) for _, mask in pairs.found], lambda name: images / name)


def are_coloured(masks: PlainMasks) -> bool:
    """Whether some of the masks are in colours."""
    return is_coloured(masks.sample)


def no_masks(source: Source) -> ExportError:
    """The error about a folder without pictures that have masks."""
    return ExportError(
        f"{source.root} has no pictures with masks of like names, such as images/a.jpg and masks/a.png, or a.jpg and "
        "a_mask.png. Name the folder of the pictures if it is another: --images FOLDER."
    )
