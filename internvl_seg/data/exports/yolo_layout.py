"""Which pictures a YOLO data set has, of which classes and splits: what its YAML file says, seen from here."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from .class_table import ClassTable, given_classes
from .colour_tables import read_classes
from .export import SourceError, Split
from .fields import is_count
from .notes import Notes
from .picture_index import PictureIndex
from .source import Source
from .splitting import split_in, split_of

_MOST_BYTES = 2**20
# Beside labels where there is no YAML file: of LabelImg and Label Studio, and of Darknet.
_NAMES = ("classes.txt", "obj.names")


class Layout(NamedTuple):
    """What was found.

    Attributes:
        why: What told it.
        table: The classes.
        places: Their places by the ids in the label files.
        pictures: The pictures of the index, with their splits.
    """

    why: str
    table: ClassTable
    places: dict[int, int]
    pictures: dict[str, Split | None]


def yaml_file(source: Source) -> str | None:
    """The YAML file with a data set's classes and folders."""
    for name in source.of_suffix(".yaml", ".yml"):
        data = _load(source, name)
        if isinstance(data, dict) and ("names" in data or "nc" in data) and any(map(_split_of_key, data)):
            return name
    return None


def _names_file(source: Source) -> str | None:
    """A YAML file that names classes and no folder; beside labels it is theirs."""
    for name in source.of_suffix(".yaml", ".yml"):
        data = _load(source, name)
        if isinstance(data, dict) and isinstance(data.get("names"), list | dict):
            return name
    return None


def label_file(picture: str) -> str:
    """Where Ultralytics looks for a picture's labels: ``labels`` for the last ``images``, and ``.txt``."""
    folder, last = PurePosixPath(picture).parent, PurePosixPath(picture).stem + ".txt"
    parts = list(folder.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return PurePosixPath(*parts, last).as_posix()


def read_layout(source: Source, index: PictureIndex, notes: Notes) -> Layout:
    """Read the YAML file, or the folders if there is none.

    Raises:
        SourceError: The classes are not to be known, or no picture is where the file says.
    """
    name = yaml_file(source)
    if name is None:
        if (listed := _names_file(source)) is not None and source.classes is None:
            table = ClassTable(source.path(listed))
            places = _places(source, listed, _load(source, listed), table)
            return Layout(f"labels/ beside images/, and {listed} has 'names'", table, places, _of_folders(index))
        given, where = given_classes(source), source.classes
        if not given and (listed := next((file for file in source.files if file.endswith(_NAMES)), None)):
            where = source.path(listed)
            given = tuple(read_classes(where))
            notes.say(f"The classes are those of {listed}.")
        if not given:
            raise SourceError(
                f"{source.root} has no data.yaml that names the classes. Give their names with --classes, a line each."
            )
        table = ClassTable(where)
        places = {number: table.add(*label) for number, label in enumerate(given)}
        return Layout("labels/ beside images/", table, places, _of_folders(index))
    data = _load(source, name)
    if "kpt_shape" in data:
        raise SourceError(f"{source.path(name)} has kpt_shape: its labels are points of a body, no areas.")
    table = ClassTable(source.path(name))
    places = _places(source, name, data, table)
    found = _of_yaml(source, name, data, index, notes)
    return Layout(f"{name} has 'names' and folders of splits", table, places, found or _of_folders(index))


def _load(source: Source, name: str) -> Any:
    if source.path(name).stat().st_size > _MOST_BYTES:
        return None  # Reading takes 5 s per MB.
    try:
        return yaml.safe_load(source.path(name).read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError):
        return None  # It may be of another program.


def _of_folders(index: PictureIndex) -> dict[str, Split | None]:
    inside = [file for file in index.files if "images" in PurePosixPath(file).parts[:-1]]
    return {file: split_of(file) for file in inside or index.files}


def _places(source: Source, name: str, data: dict[str, Any], table: ClassTable) -> dict[int, int]:
    names = data.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if names is None and (given := given_classes(source)):
        names = dict(enumerate(label.name for label in given))
    if not isinstance(names, dict) or not names or not all(map(_is_class, names, names.values())):
        # What stands there is not shown: a few lines of YAML may be a text that fills the memory.
        raise SourceError(
            f"{source.path(name)} has no names of classes: a list of them was expected, or their ids with their names. "
            "Write it, or give the names with --classes."
        )
    return {int(number): table.add(names[number]) for number in sorted(names, key=lambda number: int(str(number)))}


def _split_of_key(key: object) -> Split | None:
    return split_in([key.casefold()], short=False) if isinstance(key, str) else None


def _is_class(number: Any, name: Any) -> bool:
    return isinstance(number, int | str) and is_count(str(number)) and isinstance(name, str | int | float)


def _of_yaml(
    source: Source, name: str, data: dict[str, Any], index: PictureIndex, notes: Notes
) -> dict[str, Split | None]:
    folders = {parent.as_posix() for file in index.files for parent in PurePosixPath(file).parents}
    near = PurePosixPath(name).parent
    found: dict[str, Split | None] = {}
    for key, value in data.items():
        split = _split_of_key(key)
        for entry in _texts(value) if split else ():
            files = _pictures_of(source, entry, near, folders, index, notes)
            if not files:
                notes.add("Folders of the YAML file that are not here", f"{key}: {entry} of {name}")
            for file in files:
                if found.setdefault(file, split) != split:
                    notes.add("Pictures of two splits, to be split anew", f"{file} of {name}")
                    found[file] = None
    return found


def _texts(value: Any) -> Iterator[str]:
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str) and entry.strip():
            yield entry.strip()


def _pictures_of(
    source: Source, entry: str, near: PurePosixPath, folders: set[str], index: PictureIndex, notes: Notes
) -> list[str]:
    """Pictures of an entry of the file: of a folder, or those that a text file lists."""
    parts = [part for part in entry.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if entry.endswith(".txt"):
        listed = next((file for file in source.files if PurePosixPath(file).parts[-1:] == tuple(parts[-1:])), None)
        lines = [] if listed is None else source.path(listed).read_bytes().decode("utf-8-sig", "replace").splitlines()
        files = []
        for number, line in enumerate(lines, start=1):
            if (file := index.find(line)) is not None:
                files.append(file)
            elif line.strip():
                notes.add("Pictures of lists that are not here, left out", f"{line.strip()} in {listed}:{number}")
        return files
    # Of '../train/images' and '/home/me/data/train/images' the longest end that is here; 'images' alone says nothing.
    for start in range(len(parts) - (len(parts) > 1 and parts[-1] == "images")):
        tail = PurePosixPath(*parts[start:])
        here = sorted(folder for folder in folders if PurePosixPath(folder).parts[-len(tail.parts) :] == tail.parts)
        if here:
            beside = (near / tail).as_posix()
            folder = beside if beside in here else min(here, key=len)
            return [file for file in index.files if file.startswith(folder + "/")]
    return []
