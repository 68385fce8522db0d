"""COCO: polygons and run lengths of pictures in one JSON file a split.

As https://cocodataset.org/#format-data says, and as CVAT ("COCO 1.0"), Labelbox, FiftyOne and datumaro write it.
"""

from pathlib import PurePosixPath

from ..coco_reading import coco_files, is_panoptic, read_coco
from ..export import Export, SourceError
from ..notes import Notes
from ..source import Source

SUMMARY = "COCO JSON: polygons and run lengths (COCO, CVAT, Labelbox, FiftyOne), the pictures beside it or --images"


def recognise(source: Source) -> str | None:
    """What tells that it is COCO's."""
    files = coco_files(source)
    return f"{files[0]} has 'images', 'annotations' and 'categories'" if files else None


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: It is panoptic, or not as COCO's files are.
    """
    notes = Notes()
    files = coco_files(source)
    if not files:
        raise SourceError(f"{source.root} has no JSON file with 'images', 'annotations' and 'categories'.")
    panoptic = {name for name in files if is_panoptic(source.json(name))}
    # In a file of a split without a label nothing tells what it is, but those beside it and its name.
    others = [name for name in files if name not in panoptic and source.json(name)["annotations"]]
    if panoptic:
        panoptic |= {
            name
            for name in files
            if not source.json(name)["annotations"] and (not others or "panoptic" in PurePosixPath(name).name)
        }
    kept = [name for name in files if name not in panoptic]
    if not kept:
        raise SourceError(
            f"{source.path(files[0])} is COCO's panoptic format, whose ids are in PNGs. Take the instances of the same "
            "data (instances_*.json), or export masks."
        )
    # Beside its objects COCO has the keypoints and the captions of the same pictures.
    if objects := [name for name in kept if PurePosixPath(name).name.startswith("instances")]:
        kept = objects
    for name in files:
        if name not in kept:
            notes.add("COCO files beside those of the objects, left out", name)
    why = f"{kept[0]} has 'images', 'annotations' and 'categories'"
    return read_coco(source, kept, "coco", why, notes)
