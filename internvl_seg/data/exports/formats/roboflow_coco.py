"""Roboflow's COCO: ``_annotations.coco.json`` in the folders train, valid and test, beside the pictures.

As its export "COCO" and "COCO Segmentation" is: the first category, 0, is the project and labels nothing, and names are
``NAME_jpg.rf.HASH.jpg``, several of one NAME if the export augments.
"""

from pathlib import PurePosixPath

from ..coco_reading import is_coco, read_coco
from ..export import Export, SourceError
from ..notes import Notes
from ..source import Source

SUMMARY = "Roboflow's COCO: _annotations.coco.json in train, valid and test, beside the pictures"
_NAME = "_annotations.coco.json"


def recognise(source: Source) -> str | None:
    """What tells that it is Roboflow's."""
    files = _files(source)
    return f"{files[0]} lies beside the pictures" if files else None


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: It is not as Roboflow's files are.
    """
    files = _files(source)
    for name in files:
        if not is_coco(source.json(name)):
            raise SourceError(f"{source.path(name)} has no 'images', 'annotations' and 'categories'. Export it again.")
    if not files:
        raise SourceError(f"{source.root} has no {_NAME}, which Roboflow's COCO export has in every split.")
    why = f"{files[0]} lies beside the pictures"
    return read_coco(source, files, "roboflow_coco", why, Notes(), placeholder=True)


def _files(source: Source) -> list[str]:
    return [name for name in source.files if PurePosixPath(name).name == _NAME]
