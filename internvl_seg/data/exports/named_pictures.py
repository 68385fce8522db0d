"""Pictures that the labels of an export name, one after the other, and the export that they come to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from .export import Annotated, ClassLabel, Export, SourceError, Unlabelled
from .fields import check_classes
from .notes import Notes
from .picture_index import PictureIndex
from .source import Source
from .splitting import split_of


class NamedPictures:
    """What a reader collects of the pictures that labels name.

    Args:
        index: Where they are looked for.
        notes: Where those are noted that are not there.

    Attributes:
        found: With the path of each, with its suffix, below the folder that it is in, which becomes its name.
    """

    def __init__(self, index: PictureIndex, notes: Notes) -> None:
        self.found: list[tuple[str, Annotated]] = []
        self._index = index
        self._notes = notes
        self._missing: list[str] = []

    def add(self, path: str, picture: Annotated) -> None:
        """Add one that is there, and by its path says what it is to be called."""
        self.found.append((path, picture))

    def add_missing(self, named: str, where: str, kind: str = "Pictures that are not there are left out") -> None:
        """Note one that is not there.

        Args:
            named: What the labels call it.
            where: Which labels do, for the note.
            kind: What is left out.
        """
        self._missing.append(named)
        self._notes.add(kind, where)

    def refuse_none(self) -> None:
        """Refuse an export none of whose pictures is there.

        Raises:
            SourceError: It is one. One that names no picture at all is none.
        """
        if self._missing and not self.found:
            raise SourceError(
                f"None of the {len(self._missing)} pictures that the export names is in {self._index.below}; the first "
                f"is {self._missing[0]!r}. Say where they are: --images FOLDER."
            )

    def export(
        self,
        form: str,
        why: str | None,
        source: Source,
        classes: Sequence[ClassLabel],
        unlabelled: Unlabelled = "background",
    ) -> Export:
        """The export of the pictures that are there.

        Args:
            form: The format's name.
            why: What told it; None if the user did.
            source: The export.
            classes: In the order of their ids.
            unlabelled: What a pixel without a label is.

        Raises:
            SourceError: No picture is there, two sets of labels are for one, or there are too many classes.
        """
        self.refuse_none()
        return Export(
            format=form,
            why=why or f"{source.root}, by --format {form}",
            classes=check_classes(classes, source.root),
            pictures=_once_each(self.found),
            unlabelled=unlabelled,
            notes=self._notes.sentences(),
        )


def _once_each(pictures: Sequence[tuple[str, Annotated]]) -> tuple[Annotated, ...]:
    """Pictures in the order of their names, with the splits that their folders name."""
    by_path: dict[str, Annotated] = {}
    for path, picture in pictures:
        if path in by_path:
            raise SourceError(
                f"{by_path[path].source} and {picture.source} are both for the picture {path}. Delete one of them, or "
                "name the folder of the pictures, if these are two: --images FOLDER."
            )
        by_path[path] = picture
    bare = {path: path[: len(path) - len(PurePosixPath(path).suffix)] for path in by_path}
    # Where two would be one, on whatever disk, their suffixes stay.
    often = Counter(name.casefold() for name in [*bare.values(), *by_path])
    named = [
        replace(
            picture,
            name=bare[path] if often[bare[path].casefold()] == 1 else path,
            split=picture.split or split_of(PurePosixPath(path).parent.as_posix()),
        )
        for path, picture in by_path.items()
    ]
    return tuple(sorted(named, key=lambda picture: picture.name))
