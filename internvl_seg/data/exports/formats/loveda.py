"""LoveDA: ``Train/Urban/images_png/N.png`` and ``masks_png``; 0 is ignored, 1 is background."""

from pathlib import PurePosixPath

from ..export import IGNORED, Annotated, ClassLabel, Export, SourceError
from ..mask_files import MaskFile, values_to_classes
from ..source import Source
from ..splitting import split_in

SUMMARY = "LoveDA: {Train,Val}/{Urban,Rural}/{images_png,masks_png}, 0 ignored"
_PICTURES, _MASKS = "images_png", "masks_png"
_CLASSES = (
    ("background", (255, 255, 255)),
    ("building", (255, 0, 0)),
    ("road", (255, 255, 0)),
    ("water", (0, 0, 255)),
    ("barren", (159, 129, 183)),
    ("forest", (0, 255, 0)),
    ("agricultural", (255, 195, 128)),
)


def recognise(source: Source) -> str | None:
    """What tells LoveDA."""
    found = [name for name in source.files if PurePosixPath(name).parent.name == _MASKS]
    areas = [name for name in found if PurePosixPath(name).parent.parent.name in ("Urban", "Rural")]
    return f"masks in {PurePosixPath(areas[0]).parent}" if areas else None


def read(source: Source) -> Export:
    """Read LoveDA.

    Raises:
        SourceError: It has no masks.
    """
    why = recognise(source)
    if why is None:
        raise SourceError(
            f"{source.root} has no Urban/{_MASKS} or Rural/{_MASKS}. Unpack Train.zip and Val.zip into it."
        )
    places = {0: IGNORED} | {i + 1: i for i in range(len(_CLASSES))}
    there = set(source.files)
    annotated = []
    for name in source.files:
        path = PurePosixPath(name)
        if path.parent.name != _PICTURES:
            continue
        where = path.parent.parent / _MASKS / path.name
        mask = source.path(where.as_posix()) if where.as_posix() in there else None
        annotated.append(
            Annotated(
                source.path(name),
                (path.parent.parent / path.stem).as_posix(),
                MaskFile(mask, values_to_classes(places, mask)) if mask else None,
                split_in(part.lower() for part in path.parts[:-3]),
                source=where.as_posix() if mask else name,
            )
        )
    classes = tuple(ClassLabel(name, colour) for name, colour in _CLASSES)
    annotated.sort(key=lambda picture: picture.name)
    return Export("loveda", why, classes, tuple(annotated), "ignore")
