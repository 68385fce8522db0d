"""What is wrong with the masks of a split, all its data sets together."""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..confusion import IGNORED
from .findings import KINDS, Finding
from .loading import IDS
from .reading import Looked

# Where 0 means 'other', as in ADE20K, it covers some tenth of the pixels.
_COMMON_ZERO = 0.2
# With so few classes, one that is nowhere and a 0 that is as common as a class say more.
_FEW = 20
_COLOURS = 3
_OBJECT_OF_255 = (
    "the masks hold 0 and 255 alone; if 255 is the object, save it as 1, and set reduce_zero_label=False: python "
    "tools/prepare_dataset.py SOURCE OUT (docs/own_data.md)"
)


@dataclass
class Counts:
    """How often labels are there in the masks of a split.

    Attributes:
        split: 'train', 'val' or 'test'.
        classes: Names of the classes, C of them.
        ignored: The label that the loss ignores.
        pixels: (C,), of each class.
        images: (C,), with a pixel of it.
        skipped: Number of pixels that are ignored.
        stored: Pixels by the id in the files.
        in_masks: Masks by the id that they hold.
        masks: Number of masks of ids.
        outside: Ids that are no class and are not ignored, by mask.
        empty: Masks without a labelled pixel.
        of_255: Masks of 0 and 255 alone.
        of_1: Number of masks with a 1 and without 255.
        of_both: Number of masks with both.
        reduces_zero: Whether a data set takes 0 for no class.
    """

    split: str
    classes: tuple[str, ...]
    ignored: int
    pixels: NDArray[np.int64]
    images: NDArray[np.int64]
    skipped: int = 0
    stored: Counter[int] = field(default_factory=Counter)
    in_masks: Counter[int] = field(default_factory=Counter)
    masks: int = 0
    outside: list[tuple[str, list[int]]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    of_255: list[str] = field(default_factory=list)
    of_1: int = 0
    of_both: int = 0
    reduces_zero: bool = False

    @property
    def total(self) -> int:
        """Number of pixels of all masks."""
        return sum(self.stored.values())

    @property
    def unseen(self) -> list[str]:
        """Classes without a pixel."""
        return [name for name, seen in zip(self.classes, self.images, strict=True) if not seen]

    @property
    def is_binary(self) -> bool:
        """Whether the masks hold 0 and 255 alone, and 255 is ignored, so that no class but the first has a pixel."""
        enough = len(self.classes) <= 2 or self.masks >= len(self.classes)
        return self.stored.keys() == {0, IGNORED} and self.ignored == IGNORED and not self.reduces_zero and enough

    @property
    def is_partly_binary(self) -> bool:
        """Whether some masks of two classes hold 0 and 255, others 0 and 1, and none all: as of two sources."""
        is_two = len(self.classes) == 2 and self.ignored == IGNORED and not self.reduces_zero
        return is_two and len(self.of_255) > 1 and self.of_1 > 0 and not self.of_both


def count(parts: list[Looked], ignored: int) -> Counts:
    """Count the labels of a split.

    Args:
        parts: Its data sets.
        ignored: The label that the loss ignores.
    """
    first = parts[0].listing
    number = len(first.classes)
    counts = Counts(first.split, first.classes, ignored, np.zeros(number, np.int64), np.zeros(number, np.int64))
    counts.reduces_zero = any(part.listing.reduce_zero_label for part in parts)
    for part in parts:
        new_ids: list[int] = part.listing.new_ids.tolist()
        for pair in part.pairs:
            if pair.mask is not None and pair.mask.ids:
                _add(counts, new_ids, os.path.basename(pair.mask_path), pair.mask.ids, pair.mask.counts)
    return counts


def _add(counts: Counts, new_ids: list[int], name: str, held: tuple[int, ...], pixels: tuple[int, ...]) -> None:
    counts.masks += 1
    wrong, seen, labelled = [], set(), False
    for old, number in zip(held, pixels, strict=True):
        new = new_ids[old] if 0 <= old < IDS else old
        counts.stored[old] += number
        counts.in_masks[old] += 1
        if new == counts.ignored:
            counts.skipped += number
            continue
        labelled = True
        if 0 <= new < len(counts.classes):
            counts.pixels[new] += number
            seen.add(new)
        else:
            wrong.append(old)
    counts.images[list(seen)] += 1
    if held == (0, IGNORED):
        counts.of_255.append(name)
    if 1 in held:
        counts.of_both += IGNORED in held
        counts.of_1 += IGNORED not in held
    if wrong:
        counts.outside.append((name, wrong))
    if not labelled:
        counts.empty.append(name)


def find_in_masks(parts: list[Looked], counts: Counts, complete: bool) -> list[Finding]:
    """Find masks that are no maps of class ids, and classes and labels that are not where they should be.

    Args:
        parts: The data sets of a split.
        counts: Their labels; those that are no class are judged by :func:`.label_rules.find_strange_labels`.
        complete: Whether all masks were read, so that what was not seen is not there.
    """
    split = counts.split
    cases: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        for pair in part.pairs:
            mask, name = pair.mask, os.path.basename(pair.mask_path)
            if mask is None:
                continue
            if mask.problem == "rgb_mask":
                cases["rgb_mask"].append(f"{name}: {mask.told}")
            elif mask.ids and mask.header.mode == "P":
                cases["palette_mask"].append(name)
            elif mask.ids and mask.header.bits > 8:
                cases["wide_mask"].append(f"{name}: {mask.header.mode or mask.header.kind}")
    if (number := len(counts.classes)) > (IGNORED if counts.ignored == IGNORED else 256):
        cases["too_many_classes"].append(f"{number} classes, the last is {counts.classes[-1]!r}")
    if counts.empty:
        kind = "no_label" if complete and len(counts.empty) == counts.masks else "unlabelled_mask"
        cases[kind] = counts.empty
    if complete and counts.is_partly_binary:
        cases["object_partly_ignored"] = counts.of_255
    if _is_wrongly_reduced(counts, number) and "no_label" not in cases:
        share = counts.stored[0] / counts.total
        cases["zero_label_reduced"] = [f"label 0 is {share:.0%} of the pixels, {number} is nowhere"]
    advice = {"no_label": _OBJECT_OF_255} if counts.reduces_zero and counts.stored.keys() == {0, IGNORED} else {}
    advice["rgb_mask"] = swapped(parts, "rgb_mask")
    findings = [Finding.of(kind, split, found, advice.get(kind, "")) for kind, found in cases.items()]
    if complete and counts.masks and "no_label" not in cases:
        findings += _classes_without_pixels(counts)
    return findings


def _is_wrongly_reduced(counts: Counts, number: int) -> bool:
    """Whether 0 is taken for no class, but is as common as one, and the highest label is nowhere."""
    share = counts.stored[0] / max(counts.total, 1)
    common = min(_COMMON_ZERO, 0.5 / number) if number <= _FEW else _COMMON_ZERO
    return counts.reduces_zero and share > common and not any(number <= old != IGNORED for old in counts.stored)


def swapped(parts: list[Looked], kind: str) -> str:
    """What to do if masks are where images should be; '' if they are not.

    Args:
        parts: The data sets of a split.
        kind: What was found of the masks, which else is mended.
    """
    pairs = [pair for part in parts for pair in part.pairs if pair.image is not None and pair.mask is not None]
    if any(pair.mask_path == pair.image_path for pair in pairs):
        return "data_prefix.seg_map_path names the folder of the images: set it to that of the masks"
    one = sum(pair.image.header.bands == 1 for pair in pairs if pair.image)
    three = sum(pair.mask.header.bands == _COLOURS for pair in pairs if pair.mask)
    if not pairs or min(one, three) < len(pairs):
        return ""
    return (
        "the images have one channel and the masks three: if they are swapped, swap data_prefix.img_path and "
        f"data_prefix.seg_map_path; otherwise {KINDS[kind].mend}"
    )


def _classes_without_pixels(counts: Counts) -> list[Finding]:
    if counts.is_binary:
        names = ", ".join(map(repr, counts.classes[1:6])) or "a second class"
        share = f"255 is {counts.stored[IGNORED] / counts.total:.0%} of the pixels, in {counts.in_masks[IGNORED]} of "
        case = f"{share}{counts.masks} masks, and {names} has no pixel"
        return [Finding.of("object_ignored", counts.split, [case])]
    kind = "unseen_class" if counts.split == "train" else "unscored_class"
    enough = counts.split == "train" or counts.masks >= len(counts.classes)
    return [Finding.of(kind, counts.split, counts.unseen)] if counts.unseen and enough else []
