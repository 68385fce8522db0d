"""What is to be done with a folder or file that is of no known format, as far as its files tell."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from .export import ExportError
from .pairs import is_picture
from .plain_masks import no_masks
from .source import Source

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_HEAD = 4096
_LOOKED_AT = 20
# Of text files that look like labels and are none, or not to be read: suffix, what their beginning holds, advice.
_OTHERS = (
    (".csv", b"region_shape_attributes", "is VGG Image Annotator's table: export its annotations as JSON"),
    (
        ".xml",
        b"<polygon>",
        "is Pascal VOC's with Roboflow's polygons: export 'COCO Segmentation' or 'Semantic Segmentation Masks'",
    ),
    (".xml", b"<bndbox>", "holds boxes alone, as Pascal VOC's: label outlines, or export masks"),
    (".csv", b"xmin,ymin", "holds boxes alone, as TensorFlow's tables: label outlines, or export masks"),
    (".json", b'"coordinates": {', "holds boxes alone, as CreateML's: label outlines, or export masks"),
    (".json", b'"coordinates":{', "holds boxes alone, as CreateML's: label outlines, or export masks"),
    (
        ".json",
        b'"poly2d"',
        "is of Scalabel's polygons, as BDD100K's: take the masks of the same set",
    ),
    (".ndjson", b"{", "is of lines of JSON, as Labelbox's: export COCO JSON or masks"),
    (".jsonl", b"{", "is of lines of JSON: export COCO JSON or masks"),
)

# Files whose names tell what they are.
_NAMED = (
    (
        re.compile(r"task-\d+-annotation-\d+-by-.*\.(png|npy)"),
        "is a brush mask of Label Studio, whose name says the task and not the picture: export JSON, which holds the "
        "same masks",
    ),
)


def refuse_archive(source: Source) -> None:
    """Refuse an archive, as tools on the web give one, where nothing else is there.

    Raises:
        ExportError: It is one; the message says how to unpack it.
    """
    packed = [name for name in source.files if name.lower().endswith(_ARCHIVES)]
    if packed and len(packed) == len(source.files):
        name = packed[0]
        how = f"name the folder: unzip {name} -d FOLDER" if name.lower().endswith(".zip") else "name the folder"
        raise ExportError(f"{source.path(name)} is an archive. Unpack it and {how}.")


def hints(source: Source) -> Iterator[str]:
    """Sentences about files that are near to what could be read."""
    told: set[str] = set()
    for suffix, mark, advice in _OTHERS:
        for name in source.of_suffix(suffix)[:_LOOKED_AT]:
            with source.path(name).open("rb") as file:
                if mark in file.read(_HEAD):
                    if name in told:
                        continue
                    told.add(name)
                    yield f"{name} {advice}."
                    break
    for pattern, advice in _NAMED:
        if (
            found := next((one for one in source.files if pattern.fullmatch(PurePosixPath(one).name)), None)
        ) is not None:
            yield f"{found} {advice}."
    if source.root.is_dir() and any(map(is_picture, source.files)):
        yield str(no_masks(source))
