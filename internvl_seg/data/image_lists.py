"""Lists of the images of a split, one a line."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from .class_files import read_lines
from .folder_errors import PAGE, FolderError


class ImageListError(FolderError):
    """A list names no images, or some that are not there or not clear; the message names the line."""


def read_image_list(path: Path, stems: Mapping[str, str], folder: Path) -> list[str]:
    """The images that a list names.

    A line is an image's path below a folder, with or without its suffix: ``a``, ``a.jpg``, ``site/a``. Backslashes, and
    the folder itself before it, are understood. Empty lines are passed over.

    Args:
        path: The list, in an encoding that :func:`.class_files.read_lines` reads.
        stems: The images in the folder: what a line may say in an image's place, by its POSIX path below the folder.
        folder: The folder.

    Returns:
        Keys of ``stems`` in the order of the lines.

    Raises:
        ImageListError: There is no list, or nothing in it; a line names no image, several, or one again.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise ImageListError(f"ann_file {path} is {what}. Expected a list of images in {folder}, one a line ({PAGE}).")
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name, stem in stems.items():
        by_stem[stem].append(name)
    # A suffix such as '_rgb.png' leaves less than the name without '.png', which a list may have, too.
    without = set(stems.values())
    for name in stems:
        if (shorter := name.rpartition(".")[0]) and shorter not in without:
            by_stem[shorter].append(name)
    first: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not (entry := line.strip()):
            continue
        name = _find(entry, stems, by_stem, folder, f"{path}:{number}")
        if name in first:
            raise ImageListError(
                f"{path}:{number} names {name} again, after line {first[name]}. Take one of the lines away."
            )
        first[name] = number
    if not first:
        raise ImageListError(f"ann_file {path} names no image. Expected images in {folder}, one a line ({PAGE}).")
    return list(first)


def _find(entry: str, stems: Mapping[str, str], by_stem: Mapping[str, list[str]], folder: Path, where: str) -> str:
    for said in _readings(entry, folder):
        found = {name for name in (said,) if name in stems} | set(by_stem.get(said, ()))
        if len(found) > 1:
            raise ImageListError(
                f"{where}: {entry!r} may be {' or '.join(sorted(found))} in {folder}. Write the name with its suffix."
            )
        if found:
            return found.pop()
    name = entry.replace("\\", "/").rpartition("/")[2]
    near = next((other for other in stems if name in (other.rpartition("/")[2], other)), None)
    near = near or next((other for other, stem in stems.items() if stem.rpartition("/")[2] == name), None)
    hint = f" Is it {near}?" if near else ""
    raise ImageListError(
        f"{where}: {entry!r} is no image in {folder}.{hint} Expected a name below that folder, with or without its "
        f"suffix, one a line ({PAGE})."
    )


def _readings(entry: str, folder: Path) -> list[str]:
    """What a line may mean, in the order in which it is tried."""
    slashed = entry.replace("\\", "/")
    readings = [entry, slashed.removeprefix("./"), unicodedata.normalize("NFC", slashed.removeprefix("./"))]
    # The folder itself, or its last parts, as lists have them that are relative to the data set.
    parts = folder.absolute().parts
    for start in range(len(parts)):
        prefix = "/".join(parts[start:]).replace("//", "/") + "/"
        if slashed.removeprefix("./").startswith(prefix):
            readings.append(slashed.removeprefix("./").removeprefix(prefix))
    return readings
