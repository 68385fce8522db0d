"""What is wrong with the images of a split."""

import os
from collections import defaultdict

from .facts import ImageFacts
from .findings import Finding
from .mask_rules import swapped
from .reading import Looked, Pair
from .scale import Scaling, Size

# Training at more than this many times another size than the image's own is worth a word.
_MOST_SCALING = 2.0
# There is nothing to cut where all are made larger.
_ENLARGED = (
    "nothing, if it is meant so, as with pre-trained weights that have seen larger things; to see images at their own "
    "resolution, take the data sets of configs/_base_/datasets/folder_tiles_504x504.py, or set another scale in the "
    "pipeline"
)


def find_in_images(parts: list[Looked]) -> list[Finding]:
    """Find unreadable files and unusual kinds and sizes of images.

    Args:
        parts: The data sets of a split.
    """
    cases: dict[str, list[str]] = defaultdict(list)
    told: set[tuple[str, str]] = set()
    for part in parts:
        # A classifier scales and crops whatever comes.
        scaling = Scaling(part.listing.pipeline) if part.listing.is_dense else None
        kinds = {pair.image.header.sort: pair.image for pair in part.pairs if pair.image and pair.image.shape}
        for pair in part.pairs:
            for path, facts in ((pair.image_path, pair.image), (pair.mask_path, pair.mask)):
                if facts is not None and facts.problem in (
                    "unreadable",
                    "large_image",
                    "unsupported_image",
                    "unsupported_mask",
                ):
                    name = part.listing.name_of(path)
                    case = facts.problem, facts.told.replace(os.path.basename(path), "")
                    cases[facts.problem].append(f"{name}: {'the same' if case in told else facts.told}")
                    told.add(case)
            if pair.image is not None:
                # Images that were not decoded are read as those of their kind that were.
                alike = kinds.get(pair.image.header.sort, pair.image)
                _look_at_kind(pair, pair.image, alike, cases)
                if scaling is not None:
                    _look_at_size(pair, pair.image, scaling, cases)
    advice = {"unsupported_mask": swapped(parts, "unsupported_mask")}
    if all(case.endswith("larger") for case in cases["scaled_image"]):
        advice["scaled_image"] = _ENLARGED
    return [
        Finding.of(kind, parts[0].listing.split, found, advice.get(kind, "")) for kind, found in cases.items() if found
    ]


def _look_at_kind(pair: Pair, image: ImageFacts, alike: ImageFacts, cases: dict[str, list[str]]) -> None:
    header, name = image.header, pair.name
    as_colours = alike.shape[2:] == (3,)
    kinds = {
        "grayscale_image": header.mode in ("1", "L", "LA") and header.bands <= 2 and as_colours,
        "alpha_image": header.has_alpha and as_colours,
        "cmyk_image": header.mode == "CMYK" and as_colours,
        "wide_image": alike.is_cut,
        "rotated_image": header.orientation > 1 and not pair.labels,  # Only masks would have to turn with it.
    }
    for kind, is_so in kinds.items():
        if is_so:
            cases[kind].append(f"{name}: {header.kind if kind == 'wide_image' else header.mode}")


def _look_at_size(pair: Pair, image: ImageFacts, scaling: Scaling, cases: dict[str, list[str]]) -> None:
    name, mask, size = pair.name, pair.mask, image.size
    if not all(size) or image.problem:
        return
    if mask is not None and mask.shape and mask.shape[:2] != size:
        cases["size_mismatch"].append(f"{name}: {_wide(size)}, its mask {_wide((mask.shape[0], mask.shape[1]))}")
    if (fitting := scaling.nearest_crop(size)) is not None:
        largest, crop = fitting
        if largest[0] < crop[0] or largest[1] < crop[1]:
            cases["small_image"].append(f"{name}: {_wide(largest)}, the crop {_wide(crop)}")
    factor, reached = min((_factor(size, reached), reached) for reached in scaling.typical(size))
    if factor > _MOST_SCALING:
        smaller = "smaller" if reached[0] * reached[1] < size[0] * size[1] else "larger"
        cases["scaled_image"].append(f"{name}: {_wide(size)} becomes {_wide(reached)}, {factor:.1f} times {smaller}")


def _factor(size: Size, reached: Size) -> float:
    """How many times another size a side has, the one that changes most."""
    return max(max(b / a, a / max(b, 1)) for a, b in zip(size, reached, strict=True))


def _wide(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
