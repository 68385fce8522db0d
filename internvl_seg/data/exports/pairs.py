"""Pictures and their masks, found by what their folders and names have in common."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from .export import Split
from .picture_index import is_picture
from .splitting import SPLIT_WORDS, split_in

_MASK = (
    r"masks?|labels?|lbls?|annotations?|annots?|anns?|gts?|ground[-_ ]?truths?|segmentations?|segs?|segmentationclass|"
    r"targets?|labelids?|label_?images?|mask_?images?|semantics?|semantic[-_ ]?(?:masks?|labels?|segmentations?)"
)
_PICTURE = r"images?|imgs?|pictures?|photos?|jpegimages|rgb|inputs?|sat|ortho|tiles|top"
# Words that say so of folders where no other does: sat/ and map/, Train_X and Train_Y, KITTI's image_2.
_WEAK_MASK = r"maps?|y|labs?|labell?ed|label[-_]?imgs?|label_images_semantic|lbl_?imgs?"
_WEAK_PICTURE = r"x|sat(?:ellite)?|originals?|orig|(?:org|orig|original|raw)[-_ ]?(?:images?|imgs?)|images?[-_]\d|raw"
# Folders of versions, such as v1.2 of Mapillary Vistas, say nothing.
_VERSION = re.compile(r"v\d+(?:\.\d+)+")
_KINDS = r"(?:[-_ ]?(?:png|tif|tiff|jpg|bmp|dir|raw|all|id|ids|colou?rs?|colou?red|rgb|vis|tr|ts))?"
_NUMBER = re.compile(r"(.[-_ .]masks?)[-_ ]?\d+$")
_SPLITS = "|".join(sorted(SPLIT_WORDS, key=len, reverse=True))
_LOSSY, _EXACT = (".jpg", ".jpeg"), (".png", ".bmp", ".tif", ".tiff")


class Pairs(NamedTuple):
    """What belongs together.

    Attributes:
        found: (picture, mask) by their POSIX paths, sorted by the picture's.
        without_mask: Pictures.
        without_picture: Masks.
        others: Further masks of pictures that have one.
        several: Masks of each picture that has more than one of equal names but for a number, as of an object each.
    """

    found: list[tuple[str, str]]
    without_mask: list[str]
    without_picture: list[str]
    others: list[str]
    several: dict[str, list[str]]


class Named(NamedTuple):
    """What the words in a path say of a file.

    Attributes:
        key: The path in lower case without them, and without the suffix.
        is_mask: Whether one of them says mask.
        signature: Those that do, with the suffix.
    """

    key: str
    is_mask: bool
    signature: str


def split_of_folders(name: str) -> Split | None:
    """The split that the folders of a path name, also as one with what they hold: 'trainannot', 'test_images'.

    The file's own name says nothing: in folders that no tool has laid out it may be any.
    """
    parts = [_cleaned(part, rf"{_MASK}|{_PICTURE}")[0] for part in PurePosixPath(name.lower()).parts[:-1]]
    return split_in(word for part in parts for word in re.split(r"[^a-z0-9]+", part))


def find_pairs(masks: Iterable[str], pictures: Iterable[str] | None = None) -> Pairs:
    """Find the mask of each picture: the same path but for words such as 'masks' in a folder's or file's name.

    Args:
        masks: Files, of which those that such a word calls masks are.
        pictures: Files of the pictures, where they lie elsewhere; None where they are among ``masks``.
    """
    if pictures is not None:
        return _paired(named_files(masks), named_files(pictures))
    files = list(masks)
    named = named_files(files)
    if not _have_pairs(named) and _have_pairs(whole := named_files(files, whole_stems=True)):
        named = whole
    found = _paired(*_apart(named))
    if found.found:
        return found
    weak = named_files(files, weak=True)
    by_weak = _paired(*_apart(weak))
    # An equal name in folders of other names is too little where the words may mean something else.
    alike = all(weak[mask].key.startswith(weak[picture].key) for picture, mask in by_weak.found)
    return by_weak if by_weak.found and alike else found


def _apart(named: Mapping[str, Named]) -> tuple[dict[str, Named], dict[str, Named]]:
    """The masks among some files, and the pictures."""
    masks = {name for name, one in named.items() if one.is_mask} or _beside_lossy(named)
    return (
        {name: one for name, one in named.items() if name in masks},
        {name: one for name, one in named.items() if name not in masks},
    )


def _paired(named: Mapping[str, Named], elsewhere: Mapping[str, Named]) -> Pairs:
    """The masks of pictures."""
    by_key: dict[str, list[str]] = {}
    for name, one in named.items():
        by_key.setdefault(one.key, []).append(name)
    left = dict(by_key)
    pairs: dict[str, list[str]] = {}
    for name, one in elsewhere.items():
        if one.key in by_key:
            pairs[name] = by_key[one.key]
            left.pop(one.key, None)
    by_stem: dict[str, list[str]] = {}
    for key in left:
        by_stem.setdefault(PurePosixPath(key).name, []).append(key)
    unpaired = [name for name in elsewhere if name not in pairs]
    for name, key in _with_one_ending({name: elsewhere[name].key for name in unpaired}, left).items():
        pairs[name] = left.pop(key)
    unpaired = [name for name in unpaired if name not in pairs]
    # As of nnU-Net, whose pictures end in the number of their channel: x_0000.png and x.png.
    longer = {elsewhere[name].key: name for name in unpaired}
    for key, long in _with_one_ending({key: key for key in left}, longer).items():
        pairs[longer[long]] = left.pop(key)
    unpaired = [name for name in unpaired if name not in pairs]
    stems = Counter(PurePosixPath(elsewhere[name].key).name for name in unpaired)
    for name in unpaired:
        stem = PurePosixPath(elsewhere[name].key).name
        if stems[stem] == 1 and len(by_stem.get(stem, ())) == 1:
            pairs[name] = by_key[by_stem[stem][0]]
            left.pop(by_stem[stem][0])
    common = Counter(named[mask].signature for found in pairs.values() for mask in found)
    chosen = {
        name: min(
            found,
            key=lambda mask: (
                _differ_in_case(PurePosixPath(name).stem, PurePosixPath(mask).stem),
                -common[named[mask].signature],
                not mask.lower().endswith(".png"),
                mask,
            ),
        )
        for name, found in pairs.items()
    }
    several = {name: parts for name, found in pairs.items() if len(parts := _numbered(found)) > 1}
    used = {*chosen.values(), *(mask for parts in several.values() for mask in parts)}
    return Pairs(
        sorted(chosen.items()),
        sorted(name for name in elsewhere if name not in pairs),
        sorted(mask for found in left.values() for mask in found),
        sorted({mask for found in pairs.values() for mask in found} - used),
        several,
    )


def _numbered(masks: Iterable[str]) -> list[str]:
    """Those of some masks that one file has in parts: 'x_mask', 'x_mask_1' and so on; none if there is no number."""
    of_name: dict[str, list[str]] = {}
    for mask in masks:
        path = PurePosixPath(mask)
        of_name.setdefault(_NUMBER.sub(r"\1", path.with_suffix("").as_posix().lower()) + path.suffix, []).append(mask)
    parts: list[str] = max(of_name.values(), key=len, default=[])
    return sorted(parts)


def _differ_in_case(picture: str, mask: str) -> bool:
    """Whether the name of a picture is in that of a mask, but for capital letters."""
    return picture not in mask and picture.lower() in mask.lower()


def _with_one_ending(pictures: Mapping[str, str], masks: Iterable[str]) -> dict[str, str]:
    """Keys of masks by pictures, where those are called as these with one ending more, such as CamVid's ``_L``."""
    of_key: dict[str, list[str]] = {}
    for name, key in pictures.items():
        of_key.setdefault(key, []).append(name)
    found: dict[str, dict[str, str]] = {}
    for mask in masks:
        for mark in re.finditer(r"(?<=[^/])[-_. ](?=[^/]+$)", mask):
            names = of_key.get(mask[: mark.start()], ())
            if len(names) == 1:
                found.setdefault(mask[mark.start() :], {})[names[0]] = mask
    most = max(found.values(), key=len, default={})
    return most if 2 * len(most) > len(pictures) and sum(len(one) == len(most) for one in found.values()) == 1 else {}


def _beside_lossy(names: Iterable[str]) -> set[str]:
    """The PNGs (or BMPs, TIFFs) beside JPEGs of the same names, where no name calls any file a mask."""
    by_stem: dict[str, list[PurePosixPath]] = {}
    for name in names:
        by_stem.setdefault(PurePosixPath(name).with_suffix("").as_posix(), []).append(PurePosixPath(name))
    masks = set()
    for paths in by_stem.values():
        exact = [path for path in paths if path.suffix.lower() in _EXACT]
        if len(exact) == 1 and len(paths) == 2 and any(path.suffix.lower() in _LOSSY for path in paths):
            masks.add(exact[0].as_posix())
    return masks


def named_files(names: Iterable[str], *, whole_stems: bool = False, weak: bool = False) -> dict[str, Named]:
    """Pictures among some files; folders that all files share, such as that of an archive, say nothing of any.

    Args:
        names: The files.
        whole_stems: Whether files may be called as what they are and nothing else, such as ``x/image.png``.
        weak: Whether folders may be called by words that may mean other things, too, such as ``map``.
    """
    paths = {name: PurePosixPath(name.lower()) for name in names if is_picture(name)}
    folders = [path.parts[:-1] for path in paths.values()]
    shared = 0
    while folders and len({folder[: shared + 1] for folder in folders}) == 1 and len(folders[0]) > shared:
        shared += 1
    return {name: _named(PurePosixPath(*path.parts[shared:]), whole_stems, weak) for name, path in paths.items()}


def _have_pairs(named: Mapping[str, Named]) -> bool:
    """Whether some files are masks of others by their names."""
    return not {one.key for one in named.values() if one.is_mask}.isdisjoint(
        one.key for one in named.values() if not one.is_mask
    )


def _named(path: PurePosixPath, whole_stems: bool, weak: bool) -> Named:
    parts, signature, is_mask = [], [], False
    of_masks, of_pictures = ((_WEAK_MASK, _MASK), (_WEAK_PICTURE, _PICTURE)) if weak else ((_MASK,), (_PICTURE,))
    for part in path.parts[:-1]:
        if weak and _VERSION.fullmatch(part):
            continue
        cleaned, word = _first_cleaned(part, of_masks)
        is_mask = is_mask or bool(word)
        if not word:
            cleaned, _ = _first_cleaned(part, of_pictures)
        signature.append(word)
        if cleaned:
            parts.append(cleaned)
    # As BUSI's second mask of a picture, 'x_mask_1'; its first is 'x_mask'.
    stem, word = _cleaned(_NUMBER.sub(r"\1", path.stem), _MASK, is_file=not whole_stems)
    is_mask = is_mask or bool(word)
    if not word:
        stem, _ = _cleaned(stem, _PICTURE, is_file=not whole_stems)
    return Named("/".join([*parts, stem]), is_mask, "/".join([*filter(None, signature), word, path.suffix]))


def _first_cleaned(part: str, kinds: Iterable[str]) -> tuple[str, str]:
    """A folder's name as :func:`_cleaned` gives it for the first of some kinds of words of which it has one."""
    return next((found for words in kinds if (found := _cleaned(part, words))[1]), (part, ""))


def _cleaned(part: str, words: str, is_file: bool = False) -> tuple[str, str]:
    """A name without one of some words in it, and the word; '' if there is none."""
    if not is_file and re.fullmatch(rf"(?:{words}){_KINDS}", part):
        return "", part
    # A folder semantic_drone_dataset holds pictures, too.
    no_first = "" if is_file else r"(?!semantic[-_ .])"
    for pattern in (
        rf"(?P<rest>.+)[-_ .](?P<word>(?:{words}){_KINDS})",
        rf"(?P<rest>{_SPLITS})(?P<word>{words})",
        rf"{no_first}(?P<word>{words})[-_ .](?P<rest>.+)",
    ):
        if found := re.fullmatch(pattern, part):
            return found["rest"], found["word"]
    return part, ""
