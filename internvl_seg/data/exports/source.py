"""Files of an export, listed once for all formats that look at them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..scanning import scan_folder
from .export import SourceError

# Formats look at the same few files one after the other, of which thousands may lie in a folder.
_KEPT = 4


@dataclass(frozen=True)
class Source:
    """A folder or a single file that holds an export, and what the user says of it.

    Attributes:
        root: The folder, or the file.
        classes: File with the names of the classes (``--classes``), one a line, with an optional colour.
        images: Folder of the pictures, where the export has only their names (``--images``).
        colour_distance: How far a colour in a mask may be from a class's to count as it (``--colour-distance``).
    """

    root: Path
    classes: Path | None = None
    images: Path | None = None
    colour_distance: float = 0
    _json: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def folder(self) -> Path:
        """The folder; of a single file the one that it is in."""
        return self.root if self.root.is_dir() else self.root.parent

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Every file as a POSIX path below :attr:`folder`, sorted, without junk; of a single file itself alone."""
        return tuple(sorted(scan_folder(self.root))) if self.root.is_dir() else (self.root.name,)

    def of_suffix(self, *suffixes: str) -> list[str]:
        """The files that end in one of some suffixes, such as '.json', in whatever case."""
        return [name for name in self.files if PurePosixPath(name).suffix.lower() in suffixes]

    def path(self, name: str) -> Path:
        """A file's path."""
        return self.folder / name

    def holds(self, name: str, *marks: bytes) -> bool:
        """Whether a file of text, in whichever encoding, holds some marks, so that it is worth while to parse it."""
        try:
            content = as_utf8(self.path(name).read_bytes())
        except UnicodeDecodeError:
            return False
        return all(mark in content for mark in marks)

    def json(self, name: str) -> Any:
        """What a JSON file holds; those of the last few calls are read once.

        Raises:
            SourceError: It is no JSON.
        """
        if name not in self._json:
            if len(self._json) >= _KEPT:
                self._json.clear()
            self._json[name] = read_json(self.path(name))
        return self._json[name]


def as_utf8(content: bytes) -> bytes:
    """A text that begins with plain letters or a mark, in UTF-8 also where it is in UTF-16 or UTF-32.

    Args:
        content: What a file holds; UTF-8, or no text, is given back as it is.

    Raises:
        UnicodeDecodeError: It begins as UTF-16 or UTF-32 and is none.
    """
    encoding = json.detect_encoding(content)
    return content if encoding.startswith("utf-8") else content.decode(encoding).encode()


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        SourceError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(as_utf8(path.read_bytes()).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {error}. Export it again.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Export it again.") from error


def fitting_json(source: Source, fits: Callable[[Any], bool]) -> str | None:
    """The first JSON file, of a few spread over all of them, that holds what a format does.

    Args:
        source: The export.
        fits: Whether what a file holds is of the format.

    Returns:
        None if there is none; files that are no JSON count as none.
    """
    names = source.of_suffix(".json")
    step = max(1, (len(names) - 1) // (_KEPT - 1)) if len(names) > _KEPT else 1
    for name in names[::step][:_KEPT]:
        try:
            found = source.json(name)
        except SourceError:
            continue
        if fits(found):
            return name
    return None
