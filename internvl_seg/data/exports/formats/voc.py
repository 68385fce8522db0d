"""Pascal VOC: ``SegmentationClass/NAME.png`` with a palette, 255 at borders, and lists in ``ImageSets``.

labelme's ``labelme2voc.py`` (https://github.com/wkentaro/labelme, examples/semantic_segmentation) writes the same
layout, with the classes in ``class_names.txt``; its earlier versions have the PNGs in ``SegmentationClassPNG``.
"""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..colour_tables import read_classes
from ..export import IGNORED, Annotated, ClassLabel, Export, SourceError, Split, Window
from ..mask_files import Colours, Convert, MaskFile, values_to_classes
from ..picture_index import is_picture
from ..pictures import Picture
from ..source import Source

SUMMARY = "Pascal VOC: SegmentationClass with VOC's palette, JPEGImages and ImageSets/Segmentation"
_MASKS, _PICTURES, _LISTS = "SegmentationClass/", "JPEGImages/", "ImageSets/Segmentation/"
# The first that holds images.
_KINDS_OF_MASKS = (_MASKS, "SegmentationClassPNG/")
_TABLE = "class_names.txt"
_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_SPLITS: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
_BORDER = (224, 224, 192)


def recognise(source: Source) -> str | None:
    """What tells Pascal VOC."""
    base = _base(source)
    return None if base is None else f"{base}{_MASKS} beside {base}{_PICTURES}"


def read(source: Source) -> Export:
    """Read Pascal VOC, or what a tool writes in its layout.

    Raises:
        SourceError: A folder is missing, or a list names what is not there.
    """
    base = _base(source)
    if base is None:
        raise SourceError(f"{source.root} has no {_MASKS} beside {_PICTURES}. Name the folder that holds both.")
    table = source.classes or (source.path(base + _TABLE) if base + _TABLE in source.files else None)
    classes = read_classes(table) if table else [ClassLabel(name) for name in _NAMES]
    colours = _palette(len(classes))
    classes = [label._replace(colour=label.colour or colours[i]) for i, label in enumerate(classes)]
    places = {i: i for i in range(len(classes))} | {255: IGNORED}
    of_colours = Colours(
        {label.colour: i for i, label in enumerate(classes) if label.colour} | {_BORDER: IGNORED},
        source.colour_distance,
    )
    masks = next(filter(None, (_files(source, base + kind) for kind in _KINDS_OF_MASKS)), {})
    lists = {name: _SPLITS[stem] for stem in _SPLITS for name in _list(source, f"{base}{_LISTS}{stem}.txt")}
    annotated = []
    for name, file in _files(source, base + _PICTURES).items():
        path = source.path(masks[name]) if name in masks else None
        labels = MaskFile(path, _either(values_to_classes(places, path), of_colours.convert(path))) if path else None
        annotated.append(Annotated(source.path(file), name, labels, lists.get(name), source=masks.get(name, file)))
    without = sum(picture.labels is None for picture in annotated)
    notes = [f"{without} of {len(annotated)} pictures have no mask and count as not labelled."] if without else []
    if table is None:
        notes.append(
            f"The classes are Pascal VOC's own {len(_NAMES)}; --classes FILE names others, in the order of ids."
        )
    elif source.classes is None:
        notes.append(f"The classes are those of {table}.")
    return Export("voc", recognise(source) or "", tuple(classes), tuple(annotated), "ignore", tuple(notes))


def _either(values: Convert, colours: Convert) -> Convert:
    """Masks with a palette are ids; those that were saved anew in its colours are not."""

    def convert(mask: Picture, window: Window) -> NDArray[np.uint8]:
        return (colours if mask.bands >= 3 else values)(mask, window)

    return convert


def _base(source: Source) -> str | None:
    """Folder that holds the masks' and the pictures', such as ``VOCdevkit/VOC2012/``; '' for the source itself."""
    found = sorted({name[: name.index(_MASKS)] for name in source.files if f"/{_MASKS}" in f"/{name}"})
    return next((base for base in found if any(name.startswith(base + _PICTURES) for name in source.files)), None)


def _files(source: Source, folder: str) -> dict[str, str]:
    return {
        PurePosixPath(name.removeprefix(folder)).with_suffix("").as_posix(): name
        for name in source.files
        if name.startswith(folder) and is_picture(name)
    }


def _list(source: Source, name: str) -> list[str]:
    if name not in source.files:
        return []
    return [
        line.strip() for line in Path(source.path(name)).read_text("utf-8-sig", "replace").splitlines() if line.strip()
    ]


def _palette(count: int) -> list[tuple[int, int, int]]:
    """VOC's colours: the bits of an id, dealt to the channels from the highest down."""
    table = []
    for number in range(count):
        channels = [0, 0, 0]
        for shift in range(8):
            for channel in range(3):
                channels[channel] |= (number >> (3 * shift + channel) & 1) << (7 - shift)
        table.append((channels[0], channels[1], channels[2]))
    return table
