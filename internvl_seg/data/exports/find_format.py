"""Which format an export has, or what is to be done with one of no known format, as far as its files tell."""

import importlib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from types import ModuleType

from .export import SourceError
from .formats import FORMATS
from .picture_index import is_picture
from .plain_masks import no_masks
from .source import Source

# Asked when no other format claims an export: any folder of masks is one of theirs.
_ANY_FOLDER = ("class_masks", "colour_masks", "id_masks")
# Formats whose files another one's readers would take for their own, too.
_INSTEAD_OF = {
    "roboflow_coco": ("coco",),
    "cvat_masks": ("voc",),
    "cvat_colours": ("cityscapes",),
    "hasty": ("coco",),
    "segments_ai": ("coco",),
    # Whose table holds the same objects.
    "object_masks": ("kaggle_rle",),
    "class_masks": ("colour_masks", "id_masks"),
    "colour_masks": ("id_masks",),
}
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


def find_format(source: Source, name: str | None = None) -> tuple[ModuleType, str]:
    """The format of an export, and what told it.

    Args:
        source: The export.
        name: The format that the user says it has; None to find out.

    Raises:
        SourceError: There is no such format; no format claims the export, or more than one does.
    """
    modules = known_formats()
    if name is not None:
        if name not in modules:
            raise SourceError(f"--format {name} is not known. {_listed(modules)}")
        return modules[name], modules[name].recognise(source) or f"--format {name}"
    if source.root.is_dir() and not source.files:
        raise SourceError(f"{source.root} holds no file. Name the folder, or the file, that a labelling tool exported.")
    _refuse_archive(source)
    claims = _claims(source, [name for name in modules if name not in _ANY_FOLDER])
    claims = claims or _claims(source, [name for name in modules if name in _ANY_FOLDER])
    covered = {other for name in claims for other in _INSTEAD_OF.get(name, ())}
    left = {name: why for name, why in claims.items() if name not in covered}
    if not left:
        told = " ".join(["", *_hints(source)])
        raise SourceError(f"{source.root} is no export of a known format.{told} {_listed(modules)}")
    if len(left) > 1:
        found = "; ".join(f"{name} ({why})" for name, why in left.items())
        raise SourceError(
            f"{source.root} may be of {len(left)} formats: {found}. Say which by --format {' or --format '.join(left)}"
            ", or name the folder or file of one of them."
        )
    ((found, why),) = left.items()
    return modules[found], why


def known_formats() -> dict[str, ModuleType]:
    """The formats' modules by name, in the order in which they are asked."""
    return {name: importlib.import_module(f"{__package__}.formats.{name}") for name in FORMATS}


def list_formats() -> str:
    """A line of each format: its name and what it is."""
    return "\n".join(f"  {name:15} {module.SUMMARY}" for name, module in known_formats().items())


def _claims(source: Source, names: list[str]) -> dict[str, str]:
    modules = known_formats()
    return {name: why for name in names if (why := modules[name].recognise(source)) is not None}


def _listed(modules: dict[str, ModuleType]) -> str:
    return "Known are, to be named by --format:\n" + "\n".join(
        f"  {name:15} {module.SUMMARY}" for name, module in modules.items()
    )


def _refuse_archive(source: Source) -> None:
    """Refuse an archive, as tools on the web give one, where nothing else is there.

    Raises:
        SourceError: It is one; the message says how to unpack it.
    """
    packed = [name for name in source.files if name.lower().endswith(_ARCHIVES)]
    if packed and len(packed) == len(source.files):
        name = packed[0]
        how = f"name the folder: unzip {name} -d FOLDER" if name.lower().endswith(".zip") else "name the folder"
        raise SourceError(f"{source.path(name)} is an archive. Unpack it and {how}.")


def _hints(source: Source) -> Iterator[str]:
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
