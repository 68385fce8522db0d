"""What a folder holds of a preparation, so that a second run goes on where the first was ended."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ..writing import whole_file
from .export import SourceError, Split

FILE = "preparation.jsonl"
# Raised when the same options come to mean other files.
_VERSION = 1


@dataclass(frozen=True)
class Written:
    """A picture or tile that is done.

    Attributes:
        source: Name of its picture in the export.
        key: What the files that it is made of were: sizes and times.
        split: Where it went.
        name: Of its files, without a suffix.
        suffix: Of its picture.
        bytes: Of its picture and of its mask.
        pixels: Of each class.
        ignored: Pixels of 255.
        overlapped: Pixels that objects of different classes claim.
        empty: Why it was left out; None if it is there.
        converted: Whether the picture's file is another one than the source's.
        size: (height, width).
    """

    source: str
    key: str
    split: Split
    name: str
    suffix: str = ""
    bytes: tuple[int, int] = (0, 0)
    pixels: tuple[int, ...] = ()
    ignored: int = 0
    overlapped: int = 0
    empty: str | None = None
    converted: bool = False
    size: tuple[int, int] = (0, 0)

    def files(self, out: Path) -> tuple[Path, Path]:
        """Its picture and its mask."""
        return out / "images" / self.split / f"{self.name}{self.suffix}", mask_file(out, self.split, self.name)

    def is_there(self, out: Path) -> bool:
        """Whether its files are as they were written; one that was left out has none."""
        if self.empty is not None:
            return True
        try:
            return tuple(path.stat().st_size for path in self.files(out)) == self.bytes
        except OSError:
            return False


def mask_file(out: Path, split: Split, name: str) -> Path:
    """Where a mask is."""
    return out / "annotations" / split / f"{name}.png"


class Preparation:
    """The list of what is done in a folder; a line is added for each picture or tile.

    Args:
        out: The folder, empty, new, or with a preparation of the same options.
        options: What the files depend on, beside those of the source; JSON.

    Raises:
        SourceError: The folder holds something else, or a preparation with other options.
    """

    def __init__(self, out: Path, options: Mapping[str, Any]) -> None:
        self._out, self._path = out, out / FILE
        self._options = json.loads(json.dumps({"version": _VERSION, **options}))
        self.done: dict[tuple[str, str], Written] = {}
        for line in self._lines():
            fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in line.items()}
            written = Written(**fields)
            self.done[written.split, written.name] = written

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            others = sorted(path.name for path in self._out.iterdir() if path.name not in (".lock", ".lease"))
            if others := [name for name in others if not name.startswith(".")]:
                raise SourceError(
                    f"{self._out} holds {others[0]} and {len(others) - 1} more, which were not prepared here (there is "
                    f"no {FILE}). Take an empty or a new folder."
                )
            return []
        lines = []
        for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:  # The last line of a run that was killed.
                break
        if not lines:
            return []
        found = lines.pop(0)
        if found != self._options:
            names = [name for name in {**found, **self._options} if found.get(name) != self._options.get(name)]
            told = "; ".join(f"{name} was {found.get(name)!r} and is {self._options.get(name)!r}" for name in names)
            raise SourceError(f"{self._out} was prepared otherwise: {told}. Take another folder, or remove this one.")
        return lines

    def keep(self, wanted: Iterable[tuple[Split, str, str]]) -> int:
        """Forget, and remove the files of, what was done and is not wanted any more, or not as it is; write the list.

        Args:
            wanted: Split, name and key of all that is to be there.

        Returns:
            How many were removed.
        """
        keys: dict[tuple[str, str], str] = {(split, name): key for split, name, key in wanted}
        removed = 0
        for place, written in list(self.done.items()):
            if keys.get(place) == written.key and written.is_there(self._out):
                continue
            del self.done[place]
            if written.empty is None:
                for path in written.files(self._out):
                    path.unlink(missing_ok=True)
            removed += place not in keys
        with whole_file(self._path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(self._options) + "\n")
            for written in self.done.values():
                file.write(json.dumps(asdict(written)) + "\n")
        return removed

    def open(self) -> IO[str]:
        """The list, for :meth:`add`."""
        return self._path.open("a", encoding="utf-8")

    def add(self, file: IO[str], written: Written) -> None:
        """Add something that is done."""
        self.done[written.split, written.name] = written
        file.write(json.dumps(asdict(written)) + "\n")
        file.flush()
