"""ADE20K's scene parsing benchmark: ``images/SPLIT/ADE_*.jpg`` and ``annotations/SPLIT/ADE_*.png``.

As ADEChallengeData2016.zip of http://sceneparsing.csail.mit.edu has it: ids from 1 to 150, and 0 for what is none of
these classes, which is ignored. The names and colours of the classes are those of MMSegmentation's ``ADE20KDataset``.
"""

import re
from pathlib import PurePosixPath

from ..export import IGNORED, ClassLabel, Export, SourceError, Split
from ..mask_files import with_ids
from ..source import Source
from ..splitting import split_in

SUMMARY = "ADE20K (ADEChallengeData2016): images/ and annotations/ with ADE_*.png, ids from 1 up"
_NAME = re.compile(r"ADE_(train|val|test|training|validation)_\d{8}\.(png|jpg)")
_MASKS = "annotations"


def recognise(source: Source) -> str | None:
    """What tells ADE20K."""
    masks = _files(source, ".png", masks=True)
    return f"{next(iter(masks.values()))} is named as ADE20K's masks" if masks else None


def read(source: Source) -> Export:
    """Read ADE20K.

    Raises:
        SourceError: It has no masks or no pictures.
    """
    # Whoever reads another format does not wait for it.
    from mmseg.datasets import ADE20KDataset

    masks = _files(source, ".png", masks=True)
    if not masks:
        raise SourceError(
            f"{source.root} has no {_MASKS}/*/ADE_*.png. Unpack ADEChallengeData2016.zip, and name its folder."
        )
    names, colours = ADE20KDataset.METAINFO["classes"], ADE20KDataset.METAINFO["palette"]
    classes = tuple(ClassLabel(name, tuple(colour)) for name, colour in zip(names, colours, strict=True))
    places = {0: IGNORED} | {place + 1: place for place in range(len(classes))}
    annotated, without = [], 0
    for stem, file in _files(source, ".jpg", masks=False).items():
        mask = masks.get(stem)
        without += mask is None
        annotated.append(with_ids(source, file, mask, places, _split(file)))
    if not annotated:
        raise SourceError(f"{source.root} has masks of ADE20K and no picture ADE_*.jpg. Name the folder that has both.")
    notes = ["Pixels of id 0, which are of none of the 150 classes, are ignored."]
    if without:
        notes.append(f"{without} of {len(annotated)} pictures have no mask and count as not labelled.")
    annotated.sort(key=lambda picture: picture.name)
    return Export("ade20k", recognise(source) or "", classes, tuple(annotated), "ignore", tuple(notes))


def _files(source: Source, suffix: str, masks: bool) -> dict[str, str]:
    """Files of ADE20K by their stems, which are unique in it."""
    return {
        PurePosixPath(name).stem: name
        for name in source.files
        if name.endswith(suffix)
        and _NAME.fullmatch(PurePosixPath(name).name)
        and (_MASKS in PurePosixPath(name).parts[:-1]) == masks
    }


def _split(file: str) -> Split | None:
    path = PurePosixPath(file)
    return split_in(path.parts[:-1]) or split_in([path.name.split("_")[1]])
