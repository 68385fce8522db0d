"""What is wrong between data sets: images that are in two of them, and classes that do not agree."""

from .findings import Finding
from .reading import Looked

_NAMED = 3


def find_between_splits(looked: list[Looked]) -> list[Finding]:
    """Compare the data sets of all splits.

    Args:
        looked: The data sets and what was read of them.
    """
    return _overlap(looked) + _classes(looked)


def _overlap(looked: list[Looked]) -> list[Finding]:
    """Images of the training sets that are in another one, too; blank ones, as where there is no data, may be."""
    trained: dict[str, str] = {}
    files: set[str] = set()
    cases: dict[str, list[str]] = {}
    same: dict[str, list[str]] = {}
    for part in looked:
        split = part.listing.split
        named = [
            (pair.image.digest, pair.name)
            for pair in part.pairs
            if pair.image is not None and pair.image.digest and not pair.image.is_blank
        ]
        if split == "train":
            trained |= dict(named)
            files |= {image for image, _ in part.listing.files}
        elif part.listing.files and files.issuperset(image for image, _ in part.listing.files):
            same.setdefault(split, []).append(f"{part.listing.key} reads {len(part.listing.files)} training images")
        else:
            both = [f"{name} = {trained[digest]}" for digest, name in named if digest in trained]
            cases.setdefault(split, []).extend(both)
    # Whoever names the very files wants it so; copies get there by mistake.
    return [
        *(Finding.of("overlap", split, both) for split, both in cases.items() if both),
        *(Finding.of("trained_images", split, told) for split, told in same.items()),
    ]


def _classes(looked: list[Looked]) -> list[Finding]:
    """Data sets whose classes are not those of the first one."""
    findings: dict[str, list[str]] = {}
    listed = [part.listing for part in looked if part.listing.classes]  # None where listing failed.
    for other in listed[1:]:
        first = listed[0]
        if other.classes == first.classes:
            continue
        moved = {name for name in other.classes if name in first.classes} and [
            f"{name!r} is {i} in {other.key} and {first.classes.index(name)} in {first.key}"
            for i, name in enumerate(other.classes)
            if name in first.classes and first.classes.index(name) != i
        ]
        renamed = [
            f"class {i} is {there!r} in {other.key} and {here!r} in {first.key}"
            for i, (here, there) in enumerate(zip(first.classes, other.classes, strict=False))
            if here != there
        ]
        if len(first.classes) != len(other.classes) and not moved:
            moved = [f"{other.key} has {len(other.classes)} classes, {first.key} has {len(first.classes)}"]
        # Parts of one split are joined by MMEngine only if their classes are the same.
        if moved or other.split == first.split:
            findings.setdefault("classes_differ", []).extend((moved or renamed)[:_NAMED])
        else:
            findings.setdefault("classes_renamed", []).extend(renamed[:_NAMED])
    return [Finding.of(kind, "", cases) for kind, cases in findings.items()]
