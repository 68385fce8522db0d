"""Cityscapes: ``leftImg8bit/SPLIT/CITY/..._leftImg8bit.png`` and ``gtFine/.../..._gtFine_labelIds.png``."""

from pathlib import PurePosixPath

from ..export import IGNORED, ClassLabel, Export, SourceError
from ..mask_files import with_ids
from ..source import Source
from ..splitting import split_in

SUMMARY = "Cityscapes: leftImg8bit and gtFine, the 19 classes that are trained"
_PICTURE = "_leftImg8bit.png"
_FINE, _COARSE = "_gtFine_labelIds.png", "_gtCoarse_labelIds.png"
# The ids of training, as cityscapesscripts writes them for MMSegmentation.
_TRAINED = "_gtFine_labelTrainIds.png"
# Id, name and colour of cityscapesscripts' helpers/labels.py, in the order of the ids of training.
TRAINED_CLASSES = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
_HIGHEST = 33


def recognise(source: Source) -> str | None:
    """What tells Cityscapes."""
    mask = next((name for name in source.files if name.endswith((_FINE, _COARSE, _TRAINED))), None)
    picture = next((name for name in source.files if name.endswith(_PICTURE)), None)
    return f"{picture} and {mask}" if mask and picture else None


def read(source: Source) -> Export:
    """Read Cityscapes.

    Raises:
        SourceError: It has no pictures or no ids.
    """
    why = recognise(source)
    if why is None:
        raise SourceError(
            f"{source.root} has no *{_PICTURE} and *{_FINE}. Unpack leftImg8bit_trainvaltest.zip and "
            "gtFine_trainvaltest.zip into it, with their folders."
        )
    places = dict.fromkeys(range(-1, _HIGHEST + 1), IGNORED) | {
        one[0]: place for place, one in enumerate(TRAINED_CLASSES)
    }
    fine = _by_scene(source, _FINE)
    masks = fine or _by_scene(source, _COARSE)
    trained = not masks
    if trained:
        masks = _by_scene(source, _TRAINED)
        places = {place: place for place in range(len(TRAINED_CLASSES))} | {255: IGNORED}
    annotated, without = [], 0
    for scene, file in _by_scene(source, _PICTURE).items():
        split, mask = split_in(PurePosixPath(file.lower()).parts), masks.get(scene)
        if split == "test" or mask is None:  # The masks of the test set are dummies without a class.
            without += 1
            mask = None
        annotated.append(with_ids(source, file, mask, places, split, scene.partition("_")[0]))
    notes = ["Only *_labelIds.png are read: of the three masks of a picture the one that holds ids."]
    if trained:
        notes = ["There are no *_labelIds.png: the ids of training are read, *_labelTrainIds.png."]
    elif not fine:
        notes.append("There is no gtFine: the masks are the coarse ones.")
    if without:
        notes.append(f"{without} pictures have no public labels, as those of the test set.")
    classes = tuple(ClassLabel(name, colour) for _, name, colour in TRAINED_CLASSES)
    annotated.sort(key=lambda picture: picture.name)
    return Export("cityscapes", why, classes, tuple(annotated), "ignore", tuple(notes))


def _by_scene(source: Source, end: str) -> dict[str, str]:
    """Files by ``CITY_SEQUENCE_FRAME``."""
    return {PurePosixPath(name).name[: -len(end)]: name for name in source.files if name.endswith(end)}
