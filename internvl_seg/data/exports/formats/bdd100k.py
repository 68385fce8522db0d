"""BDD100K's semantic segmentation: ``images/10k/SPLIT/x.jpg`` and ``labels/sem_seg/masks/SPLIT/x.png``.

As https://doc.bdd100k.com/format.html has it: the ids are those that Cityscapes trains, 255 is ignored. The release of
2018 has the same in ``seg/images/SPLIT/x.jpg`` and ``seg/labels/SPLIT/x_train_id.png``.
"""

from itertools import pairwise
from pathlib import PurePosixPath

from ..export import IGNORED, ClassLabel, Export, SourceError
from ..mask_files import with_ids
from ..picture_index import is_picture
from ..source import Source
from ..splitting import split_in
from .cityscapes import TRAINED_CLASSES

SUMMARY = "BDD100K, semantic segmentation: images/10k and labels/sem_seg/masks"
_MASKS, _OLD_MASKS, _OLD_END = ("sem_seg", "masks"), ("seg", "labels"), "_train_id.png"
_PICTURES, _OLD_PICTURES = ("images", "10k"), ("seg", "images")


def recognise(source: Source) -> str | None:
    """What tells BDD100K."""
    masks = _masks(source)
    return f"{next(iter(masks.values()))} is where BDD100K has its masks" if masks else None


def read(source: Source) -> Export:
    """Read BDD100K.

    Raises:
        SourceError: It has no masks or no pictures.
    """
    masks = _masks(source)
    if not masks:
        raise SourceError(
            f"{source.root} has no labels/sem_seg/masks/*/*.png. Unpack bdd100k_sem_seg_labels_trainval.zip and "
            "10k_images_trainval.zip into it, with their folders."
        )
    places = {place: place for place in range(len(TRAINED_CLASSES))} | {255: IGNORED}
    annotated, without = [], 0
    for name, file in _pictures(source).items():
        mask = masks.get(name)
        without += mask is None
        annotated.append(with_ids(source, file, mask, places, split_in(PurePosixPath(file).parts[:-1])))
    if not annotated:
        raise SourceError(
            f"{source.root} has BDD100K's masks and no pictures in images/10k. Unpack 10k_images_trainval.zip into it."
        )
    notes = ["Only the masks of ids are read, beside which are the same in colours and as polygons."]
    if without:
        notes.append(f"{without} of {len(annotated)} pictures have no mask, as those of the test set.")
    annotated.sort(key=lambda picture: picture.name)
    classes = tuple(ClassLabel(name, colour) for _, name, colour in TRAINED_CLASSES)
    return Export("bdd100k", recognise(source) or "", classes, tuple(annotated), "ignore", tuple(notes))


def _has(name: str, folders: tuple[str, str]) -> bool:
    parts = PurePosixPath(name).parts[:-1]
    return folders in pairwise(parts)


def _masks(source: Source) -> dict[str, str]:
    """The masks by split and stem of their pictures."""
    found = {}
    for name in source.of_suffix(".png"):
        path = PurePosixPath(name)
        if _has(name, _MASKS):
            found[f"{path.parent.name}/{path.stem}"] = name
        elif _has(name, _OLD_MASKS) and name.endswith(_OLD_END):
            found[f"{path.parent.name}/{path.name.removesuffix(_OLD_END)}"] = name
    return found


def _pictures(source: Source) -> dict[str, str]:
    there = [name for name in source.files if is_picture(name) and (_has(name, _PICTURES) or _has(name, _OLD_PICTURES))]
    return {f"{PurePosixPath(name).parent.name}/{PurePosixPath(name).stem}": name for name in there}
