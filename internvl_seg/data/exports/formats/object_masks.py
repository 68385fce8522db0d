"""A folder a picture, in which each object has a mask: ``ID/images/ID.png`` and ``ID/masks/*.png``.

As of Kaggle's "2018 Data Science Bowl", ``stage1_train``: https://www.kaggle.com/c/data-science-bowl-2018/data.
"""

from pathlib import PurePosixPath

from ..class_ids import is_background
from ..class_table import ClassTable, given_classes
from ..export import Annotated, Export, SourceError
from ..notes import Notes
from ..pairs import split_of_folders
from ..picture_index import is_picture
from ..source import Source
from ..united_masks import check_two_values, have_two_values, united

SUMMARY = "a folder a picture with images/ and masks/, a mask an object (Kaggle's Data Science Bowl 2018)"
_CLASS = "nucleus"
_PICTURES, _MASKS = "images", "masks"


def recognise(source: Source) -> str | None:
    """What tells a folder a picture with masks of objects."""
    masks = {picture: some for picture, some in _found(source).items() if some}
    several = next((picture for picture, some in masks.items() if len(some) > 1), None)
    if several is None or not have_two_values([source.path(some[0]) for some in masks.values()]):
        return None
    folder = PurePosixPath(several).parent.parent.as_posix()
    return f"{folder} holds one picture and {len(masks[several])} masks, as {len(masks)} folders do"


def read(source: Source) -> Export:
    """Read them: the masks of a picture are united, as objects of one class.

    Raises:
        SourceError: There are none, one holds more than two values, or ``--classes`` names several.
    """
    found, notes = _found(source), Notes()
    if not any(found.values()):
        raise SourceError(
            f"{source.root} has no folders of one picture in {_PICTURES}/ and the masks of its objects in {_MASKS}/."
        )
    check_two_values([source.path(mask) for some in found.values() for mask in some])
    given = given_classes(source)
    named = [label for label in given if not is_background(label.name)]
    if given and len(named) != 1:
        raise SourceError(
            f"{source.classes} (--classes) names {', '.join(label.name for label in given)}: the masks are of objects "
            "of one class. Name it alone."
        )
    table = ClassTable(source.classes or source.root)
    for name, colour in given:
        table.add(name, colour)
    name = named[0].name if named else _CLASS
    place = table.add(name)
    notes.say(f"The masks of a picture are united; all objects are of one class, {name!r}, and not told apart.")
    if tables := source.of_suffix(".csv"):
        notes.add("Tables beside the masks, not used", tables[0], len(tables))
    pictures = tuple(
        Annotated(
            source.path(picture),
            PurePosixPath(picture).with_suffix("").as_posix(),
            united([(place, source.path(mask)) for mask in masks]) if masks else None,
            split_of_folders(picture),
            None,
            masks[0] if masks else picture,
        )
        for picture, masks in sorted(found.items())
    )
    return Export("object_masks", recognise(source) or "", table.labels(), pictures, "background", notes.sentences())


def _found(source: Source) -> dict[str, list[str]]:
    """The masks of each picture; nothing if a folder with masks has not one picture."""
    inside: dict[str, tuple[list[str], list[str]]] = {}
    for name in source.files:
        path = PurePosixPath(name)
        if is_picture(name) and (kind := path.parent.name.lower()) in (_PICTURES, _MASKS):
            inside.setdefault(path.parent.parent.as_posix(), ([], []))[kind == _MASKS].append(name)
    if any(masks and len(pictures) != 1 for pictures, masks in inside.values()):
        return {}
    return {pictures[0]: masks for pictures, masks in inside.values() if len(pictures) == 1}
