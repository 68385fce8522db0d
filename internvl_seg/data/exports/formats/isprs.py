"""ISPRS Potsdam and Vaihingen: aerial pictures with masks in six colours."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..export import IGNORED, Annotated, ClassLabel, Export, SourceError
from ..mask_files import Colours, MaskFile
from ..source import Source

SUMMARY = "ISPRS Potsdam (NAME_RGB.tif, NAME_label.tif) and Vaihingen (top, gts_for_participants)"
_CLASSES = (
    ("impervious surface", (255, 255, 255)),
    ("building", (0, 0, 255)),
    ("low vegetation", (0, 255, 255)),
    ("tree", (0, 255, 0)),
    ("car", (255, 255, 0)),
    ("clutter", (255, 0, 0)),
)
# Some of Potsdam's masks were saved with values such as 252 for 255.
_DISTANCE = 8.0
_POTSDAM = re.compile(r"(top_potsdam_\d+_\d+)_(RGBIR|RGB|IRRG|label_noBoundary|label)\.tiff?", re.IGNORECASE)
_VAIHINGEN = re.compile(r"(top_mosaic_09cm_area\d+)(_noBoundary)?\.tiff?", re.IGNORECASE)
# Folders of Vaihingen's masks, which are called as its pictures: 'gts_for_participants', '..._ground_truth_COMPLETE'.
_OF_LABELS = re.compile(r"gts?([-_ ].*)?$|.*ground[-_ ]?truth|.*(labels?|masks?|annotations?)([-_ ]|$)", re.IGNORECASE)
# The best first.
_BANDS = ("rgb", "rgbir", "irrg", "top")
_LABELS = ("label", "label_noboundary")


def recognise(source: Source) -> str | None:
    """What tells Potsdam or Vaihingen."""
    both = [kinds for kinds in _scenes(source).values() if _first(kinds, _LABELS) and _first(kinds, _BANDS)]
    if not both:
        return None
    kinds = both[0]
    return f"{_first(kinds, _BANDS)} and {_first(kinds, _LABELS)}, and {len(both) - 1} more"


def read(source: Source) -> Export:
    """Read Potsdam or Vaihingen.

    Raises:
        SourceError: There is no picture with a mask.
    """
    why = recognise(source)
    if why is None:
        raise SourceError(f"{source.root} has no pictures of ISPRS with masks beside them, as {SUMMARY}.")
    places = {colour: place for place, (_, colour) in enumerate(_CLASSES)} | {(0, 0, 0): IGNORED}
    colours = Colours(places, source.colour_distance or _DISTANCE)
    annotated, unused, eroded = [], set(), 0
    for kinds in _scenes(source).values():
        picture, mask = _first(kinds, _BANDS), _first(kinds, _LABELS)
        if picture is None:
            continue
        eroded += mask is not None and mask == kinds.get("label_noboundary")
        unused |= {kind for kind in _BANDS if kind in kinds and kinds[kind] != picture}
        path = source.path(mask) if mask else None
        labels = MaskFile(path, colours.convert(path)) if path else None
        name = PurePosixPath(picture).with_suffix("").as_posix()
        annotated.append(Annotated(source.path(picture), name, labels, source=mask or picture))
    notes = [f"Colours within {source.colour_distance or _DISTANCE:g} of a class's count as it; black is ignored."]
    if unused:
        notes.append(f"Pictures in other bands are there, too, and not used: {', '.join(sorted(unused)).upper()}.")
    if eroded:
        notes.append(f"{eroded} masks are those without boundaries, where pixels around objects are ignored.")
    classes = tuple(ClassLabel(name, colour) for name, colour in _CLASSES)
    annotated.sort(key=lambda one: one.name)
    return Export("isprs", why, classes, tuple(annotated), "ignore", tuple(notes))


def _scenes(source: Source) -> dict[str, dict[str, str]]:
    """Files of each scene by what they are."""
    found: dict[str, dict[str, str]] = {}
    for name in source.files:
        path = PurePosixPath(name)
        if match := _POTSDAM.fullmatch(path.name):
            found.setdefault(match[1].lower(), {})[match[2].lower()] = name
        elif match := _VAIHINGEN.fullmatch(path.name):
            is_label = bool(match[2]) or _is_of_labels(path.parts[:-1])
            kind = ("label_noboundary" if match[2] else "label") if is_label else "top"
            found.setdefault(match[1].lower(), {})[kind] = name
    return found


def _is_of_labels(folders: Sequence[str]) -> bool:
    """Whether a file is a mask by its folders, of which the nearest that says so counts."""
    for folder in reversed(folders):
        if folder.lower() == "top" or _OF_LABELS.match(folder):
            return folder.lower() != "top"
    return False


def _first(kinds: dict[str, str], wanted: tuple[str, ...]) -> str | None:
    return next((kinds[kind] for kind in wanted if kind in kinds), None)
