"""Folders of pictures and masks that no tool has laid out: what :mod:`.formats` of colours and of ids share."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..scanning import scan_folder
from .export import Annotated, Drawn, Labels, SourceError, Window
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
        several: Paths of the masks of each picture that has more than one, which are called alike but for a number.
    """

    pairs: Pairs
    masks: list[Path]
    of_picture: Callable[[str], Path]
    several: dict[str, list[Path]]

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
        often = Counter(self.masks)
        if shared := [
            picture for (picture, _), mask in zip(self.pairs.found, self.masks, strict=True) if often[mask] > 1
        ]:
            found.append(
                f"{len(shared)} pictures have a mask that is another's, too, and are kept in one split with it; the "
                f"first is {shared[0]}. Name the folder of those to be taken, if not all are: --images FOLDER."
            )
        return found

    def annotated(
        self, labels: Callable[[Path], Labels], unite: Callable[[list[Path]], Labels] | None = None
    ) -> tuple[Annotated, ...]:
        """All pictures, with the labels of their masks.

        Args:
            labels: Those of a mask.
            unite: Those of several masks of one picture; None where that is an error of the picture.
        """
        masks = dict(zip((picture for picture, _ in self.pairs.found), self.masks, strict=True))
        pictures = sorted([*masks, *self.pairs.without_mask])
        often = Counter(masks.values())
        stems = [PurePosixPath(name).with_suffix("").as_posix() for name in pictures]
        counts, found = Counter(stems), []
        for file, stem in zip(pictures, stems, strict=True):
            mask = masks.get(file)
            name = stem if counts[stem] == 1 else file
            source = str(mask) if mask else file
            drawn = labels(mask) if mask else None
            if (parts := self.several.get(file)) is not None:
                drawn = unite(parts) if unite else _refusing(file, self.pairs.several[file])
            # Pictures of one mask, such as a scene in other bands, show the same.
            group = str(mask) if mask and often[mask] > 1 else None
            found.append(Annotated(self.of_picture(file), name, drawn, split_of_folders(file), group, source))
        return tuple(sorted(found, key=lambda picture: picture.name))


def _refusing(file: str, masks: list[str]) -> Labels:
    def labels(size: tuple[int, int], window: Window) -> Drawn:
        raise SourceError(
            f"{file} has {len(masks)} masks, {masks[0]} and {masks[1]}, which may be of an object each. Draw them into "
            "one file, or take the others away."
        )

    return labels


def find_masks(source: Source) -> PlainMasks:
    """The pictures and masks of a folder."""
    images = source.images
    if images is None:
        pairs = find_pairs(source.files)
    else:
        inside = os.path.relpath(os.path.realpath(images), os.path.realpath(source.folder)) + "/"
        pairs = find_pairs([name for name in source.files if not name.startswith(inside)], scan_folder(images))
    several = {name: [source.path(mask) for mask in parts] for name, parts in pairs.several.items()}
    return PlainMasks(
        pairs, [source.path(mask) for _, mask in pairs.found], (images or source.folder).__truediv__, several
    )


def are_coloured(masks: PlainMasks) -> bool:
    """Whether some of the masks are in colours."""
    return is_coloured(masks.sample)


def no_masks(source: Source) -> SourceError:
    """The error about a folder without pictures that have masks."""
    return SourceError(
        f"{source.root} has no pictures with masks of like names, such as images/a.jpg and masks/a.png, or a.jpg and "
        "a_mask.png. Name the folder of the pictures if it is another: --images FOLDER."
    )
