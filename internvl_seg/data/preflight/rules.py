"""What is wrong with the images and masks of a data set."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from ..confusion import IGNORED
from .findings import Finding
from .listing import Listing
from .pair import Pair
from .scale import largest_before_crop

# Where 0 means 'other', as in ADE20K, it covers some tenth of the pixels.
_COMMON_ZERO = 0.2


def _collect(cases: dict[str, list[str]], split: str) -> list[Finding]:
    return [Finding.of(kind, split, found) for kind, found in cases.items()]


def find_in_images(listing: Listing, pairs: list[Pair]) -> list[Finding]:
    """Find unreadable files and unusual kinds and sizes of images.

    Args:
        listing: The data set.
        pairs: Images and masks that were read of it.
    """
    cases: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        for path, problem in pair.problems.items():
            cases["unreadable"].append(f"{Path(path).name}: {problem}")
        image, name = pair.image, Path(pair.image_path).name
        if image is None:
            continue
        kinds = {
            "grayscale_image": image.mode in ("1", "L", "LA"),
            "alpha_image": image.has_alpha,
            "cmyk_image": image.mode == "CMYK",
            "wide_image": image.mode[0] in "IF",
            "rotated_image": image.rotated,
        }
        for kind, is_so in kinds.items():
            if is_so:
                cases[kind].append(f"{name}: {image.mode}")
        mask = pair.mask
        if mask is not None and mask.size != image.size:
            cases["size_mismatch"].append(f"{name}: {_wide(image.size)}, its mask {_wide(mask.size)}")
        reached = largest_before_crop(image.size, listing.pipeline)
        if reached is not None and (reached[0][0] < reached[1][0] or reached[0][1] < reached[1][1]):
            cases["small_image"].append(f"{name}: {_wide(reached[0])}, the crop {_wide(reached[1])}")
    return _collect(cases, listing.split)


def find_in_masks(listing: Listing, pairs: list[Pair], ignored: int) -> list[Finding]:
    """Find masks that are no maps of class ids, and ids that are none.

    Args:
        listing: The data set.
        pairs: Images and masks that were read of it.
        ignored: The label that the loss ignores.
    """
    cases: dict[str, list[str]] = defaultdict(list)
    classes = len(listing.classes)
    total = np.zeros(256, np.int64)
    outside: list[tuple[str, list[int]]] = []
    for pair in pairs:
        mask, name = pair.mask, Path(pair.mask_path).name
        if mask is None:
            continue
        if not mask.ids.size:
            cases["rgb_mask"].append(f"{name}: {mask.mode}")
            continue
        if mask.mode == "P":
            cases["palette_mask"].append(name)
        elif mask.mode[0] in "IF":
            cases["wide_mask"].append(f"{name}: {mask.mode}")
        ids = mask.ids
        total += np.bincount(ids % 256, weights=mask.counts, minlength=256).astype(np.int64)
        new = listing.new_ids[ids % 256]
        # -1 is read as 255, which may well be ignored; 300 is no class that a loss takes.
        if wrong := ids[((new >= classes) | (ids < 0)) & (new != ignored) | (ids > 255)].tolist():
            outside.append((name, wrong))
    if outside and {i for _, wrong in outside for i in wrong} == {classes} and not listing.reduce_zero_label:
        cases["reduce_zero_label"] = [f"{name}: {classes}" for name, _ in outside]
    else:
        cases["label_out_of_range"] = [_ids(name, wrong, classes) for name, wrong in outside]
    if listing.reduce_zero_label and total[0] > _COMMON_ZERO * total.sum() and not total[classes:IGNORED].any():
        share = f"label 0 is {total[0] / total.sum():.0%} of the pixels, {classes} is nowhere"
        cases["zero_label_reduced"] = [share]
    return _collect({kind: found for kind, found in cases.items() if found}, listing.split)


def _wide(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _ids(name: str, ids: list[int], classes: int) -> str:
    shown = ", ".join(map(str, ids[:5])) + (" ..." if len(ids) > 5 else "")
    return f"{name}: {shown} of {classes} classes"
