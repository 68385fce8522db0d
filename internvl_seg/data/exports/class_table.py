"""Classes of an export by their names."""

from .colour_tables import read_classes
from .export import MOST_CLASSES, ClassLabel, SourceError
from .fields import is_count
from .source import Source


class ClassTable:
    """Classes in the order in which they are added; equal names are one class.

    Args:
        where: The file that names them, for errors.
    """

    def __init__(self, where: object) -> None:
        self._where = where
        self._colours: dict[str, tuple[int, int, int] | None] = {}
        self._places: dict[str, int] = {}

    def add(self, name: object, colour: tuple[int, int, int] | None = None) -> int:
        """The place of a class, which is added if there is none of the name.

        Raises:
            SourceError: There are more classes than masks of 8 bits hold, or the name is empty.
        """
        text = " ".join(str(name).split())
        if not text:
            raise SourceError(f"{self._where} has a class without a name. Name it in the tool, and export again.")
        if text not in self._places:
            if len(self._places) == MOST_CLASSES:
                raise SourceError(
                    f"{self._where} has more than {MOST_CLASSES} classes; masks of 8 bits hold no more. Export those "
                    "that are to be trained."
                )
            self._places[text] = len(self._places)
        if self._colours.get(text) is None:
            self._colours[text] = colour
        return self._places[text]

    def __contains__(self, name: object) -> bool:
        return " ".join(str(name).split()) in self._places

    def names(self) -> tuple[str, ...]:
        """The names in order."""
        return tuple(self._places)

    def labels(self) -> tuple[ClassLabel, ...]:
        """The classes in order.

        Raises:
            SourceError: There is none.
        """
        if not self._places:
            raise SourceError(f"{self._where} names no class. Label something, and export again.")
        return tuple(ClassLabel(name, self._colours[name]) for name in self._places)


def given_classes(source: Source) -> tuple[ClassLabel, ...]:
    """The classes that the user names with ``--classes``; none if there is no such file.

    Raises:
        SourceError: It cannot be read or names no class.
    """
    return tuple(read_classes(source.classes)) if source.classes is not None else ()


def table_of_values(source: Source, values: list[str], where: object) -> tuple[ClassTable, dict[str, int]]:
    """Classes of which labels say a text or a number.

    Without ``--classes`` each value is a class, numbers first and sorted. With it values are names of that file, and
    others are classes after these; or all are numbers, and the names are theirs from 0 up if one is 0, else from 1 up.

    Args:
        source: What the user says.
        values: The different values.
        where: The file that holds them, for errors.

    Returns:
        The classes, and the place of each value.

    Raises:
        SourceError: No value is of a class of ``--classes``, or a number is of none.
    """
    given = given_classes(source)
    table = ClassTable(source.classes or where)
    if not given:
        return table, {value: table.add(value) for value in sorted(values, key=_numbers_first)}
    for name, colour in given:
        table.add(name, colour)
    names = table.names()
    if any(value in table for value in values):
        return table, {value: table.add(value) for value in sorted(values, key=_numbers_first)}
    numbers = [int(value) if is_count(value) else -1 for value in values]
    first = 0 if 0 in numbers else 1
    for value, number in zip(values, numbers, strict=True):
        if not 0 <= number - first < len(names):
            raise SourceError(
                f"{where} has class {value!r}, but {source.classes} (--classes) names {', '.join(names[:20])}. Add it "
                "there, or give a file of the classes that are labelled."
            )
    return table, {value: number - first for value, number in zip(values, numbers, strict=True)}


def _numbers_first(value: str) -> tuple[int, float, str]:
    return (0, int(value), value) if is_count(value) else (1, 0, value)
