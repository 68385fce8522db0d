"""Kaggle's tables of run lengths: a CSV file with ``EncodedPixels``, and a folder of pictures.

As the competitions "Airbus Ship Detection" (``ImageId,EncodedPixels``, a row an object), "Severstal"
(``ImageId,ClassId,EncodedPixels`` or ``ImageId_ClassId,EncodedPixels``), "Understanding Clouds"
(``Image_Label,EncodedPixels``), "TGS Salt" (``id,rle_mask``) and "HuBMAP" (``id,encoding`` or ``id,rle``) describe
them: pairs of first pixel and length, from 1, down the columns. Those of "Carvana" (``img,rle_mask``), "Sartorius"
(``id,annotation,...,cell_type``, a row an instance) and "UW-Madison" (``id,class,segmentation``, the pictures in
folders of cases) count along the rows, and those of "SIIM-ACR Pneumothorax" from the end of the run before. Tables
whose objects fall apart when they are read so are read the other way, which is told.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from ..class_table import ClassTable, given_classes, table_of_values
from ..drawing import Patch, Shape, labels_of
from ..export import Export, SourceError
from ..fields import is_count
from ..kaggle_tables import (
    are_relative,
    columns_of,
    finder,
    from_the_first_pixel,
    go_the_other_way,
    group_of,
    header_of,
)
from ..notes import Notes
from ..picture_index import Labelled, PictureIndex
from ..run_lengths import mask_of_pairs
from ..source import Source, as_utf8

SUMMARY = "Kaggle's run lengths: a CSV file with EncodedPixels (or rle_mask), the pictures beside it or --images"
_ONE = "object"
_LONGEST_HEADER = 4096
_EMPTY = ("", "nan", "-1")


class _Row(NamedTuple):
    """A row: the picture as it is called, the class or "", the run lengths, where it is, and what the table says."""

    picture: str
    value: str
    runs: str
    what: str
    said: tuple[int, int] | None
    table: str
    rows_of: str


def recognise(source: Source) -> str | None:
    """What tells that it is such a table."""
    tables = [(name, column) for name in source.of_suffix(".csv") if (column := _runs_column(source, name))]
    if not tables:
        return None
    name, column = min(tables, key=lambda table: _is_submission(table[0]))
    return f"{name} has a column {column!r}"


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: A table is not as Kaggle's are, or no picture is there.
    """
    why = recognise(source)
    if why is None:
        raise SourceError(f"{source.root} has no CSV file with a column EncodedPixels or rle_mask.")
    notes, index = Notes(), PictureIndex(source)
    rows = [row for name in _tables(source, notes) for row in _absolute(list(_rows(source, name)), notes)]
    table, places = _classes(source, rows, why)
    found: dict[str, list[Shape]] = {}
    first: dict[str, _Row] = {}
    find = finder(index)
    files = {name: find(name) for name in dict.fromkeys(row.picture for row in rows)}
    orders = _orders(rows, files, index, notes)
    for row in rows:
        file = files[row.picture]
        if file is None:
            notes.add("Rows of pictures that are not there, left out", f"{row.picture} in {row.what}")
            continue
        first.setdefault(file, row)
        shapes = found.setdefault(file, [])
        if row.runs.strip().casefold() not in _EMPTY:
            shapes.append(Shape(places[row.value], partial(_pairs, row, orders[row.table])))
    for file, shapes in found.items():
        if not shapes:
            notes.add("Pictures without an object, background alone", f"{file} in {first[file].what}")
    if spare := [file for file in index.files if file not in found]:
        notes.add("Pictures that no table names, left out (are they without an object?)", spare[0], len(spare))
    pictures = {
        file: Labelled(
            labels_of(shapes, f"{file} of {first[file].table}", first[file].said),
            first[file].what.partition(" ")[2],
            group=group_of(first[file].picture),
        )
        for file, shapes in found.items()
    }
    return Export("kaggle_rle", why, table.labels(), index.annotated(pictures), "background", notes.sentences())


def _absolute(rows: list[_Row], notes: Notes) -> list[_Row]:
    """The rows of a table with runs that are counted from the first pixel."""
    if not are_relative(row.runs for row in rows):
        return rows
    notes.say(f"The starts of the runs of {rows[0].table} are counted from the run before, as those of SIIM-ACR.")
    return [
        row if row.runs.strip().casefold() in _EMPTY else row._replace(runs=from_the_first_pixel(row.runs, row.what))
        for row in rows
    ]


def _orders(rows: list[_Row], files: Mapping[str, str | None], index: PictureIndex, notes: Notes) -> dict[str, bool]:
    """Whether the runs of each table go along the rows."""
    orders = {}
    for name in dict.fromkeys(row.table for row in rows):
        mine = [row for row in rows if row.table == name]
        along = bool(mine[0].rows_of)
        why = f"as those of {mine[0].rows_of}" if along else "as those of most of Kaggle's tables"
        there = ((file, row.runs, along) for row in mine if (file := files[row.picture]) is not None)
        if go_the_other_way(there, index):
            along = not along
            why = "as the other way its objects fall apart into lines"
        notes.say(f"The runs of {name} are read {'along the rows' if along else 'down the columns'}, {why}.")
        orders[name] = along
    return orders


def _pairs(row: _Row, along_rows: bool, size: tuple[int, int]) -> Patch:
    if along_rows:
        return Patch(0, 0, mask_of_pairs(row.runs, size[::-1], row.what).T)
    return Patch(0, 0, mask_of_pairs(row.runs, size, row.what))


def _classes(source: Source, rows: list[_Row], why: str) -> tuple[ClassTable, Mapping[str, int]]:
    values = [value for value in dict.fromkeys(row.value for row in rows) if value]
    if values:
        for row in rows:
            if not row.value and row.runs.strip().casefold() not in _EMPTY:
                raise SourceError(
                    f"{row.what} has run lengths and no class; other rows have one. Add it, or delete it."
                )
        return table_of_values(source, values, why)
    given = given_classes(source)
    if len(given) > 1:
        raise SourceError(f"{why}, but none of classes: {source.classes} (--classes) is to name one, not {len(given)}.")
    table = ClassTable(why)
    return table, {"": table.add(*(given[0] if given else (_ONE,)))}


def _tables(source: Source, notes: Notes) -> list[str]:
    """The tables; those of submissions hold no labels."""
    found = [name for name in source.of_suffix(".csv") if _runs_column(source, name)]
    tables = [name for name in found if not _is_submission(name)]
    for name in found:
        if _is_submission(name):
            notes.add("Tables of submissions, left out", name)
    if not tables:
        raise SourceError(f"{source.root} has tables of submissions alone, whose run lengths are no labels.")
    return tables


def _is_submission(name: str) -> bool:
    return "submission" in PurePosixPath(name).name.casefold()


def _runs_column(source: Source, name: str) -> str | None:
    """The column with run lengths, if a table has one."""
    with source.path(name).open("rb") as file:
        header = header_of(file.read(_LONGEST_HEADER))
    return None if header is None else header[0][header[1].runs].strip().strip('"')


def _rows(source: Source, name: str) -> Iterator[_Row]:
    content = source.path(name).read_bytes()
    try:
        text = as_utf8(content).decode("utf-8-sig")
    except ValueError as error:
        raise SourceError(f"{source.path(name)} is no UTF-8: {error}. Save it as CSV in UTF-8.") from error
    header = header_of(content[:_LONGEST_HEADER])
    longest = csv.field_size_limit(max(len(text), 1))  # A field may be as long as the file.
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=header[2] if header else ","))
    except csv.Error as error:
        raise SourceError(f"{source.path(name)} is no CSV: {error}.") from error
    finally:
        csv.field_size_limit(longest)
    columns = columns_of(lines[0])
    if columns is None or (columns.both is None and columns.picture is None):
        raise SourceError(
            f"{source.path(name)} has the columns {', '.join(lines[0])[:120]}: ImageId and EncodedPixels were expected."
        )
    for number, fields in enumerate(lines[1:], start=2):
        if not any(field.strip() for field in fields):
            continue
        what = f"line {number} of {name}"
        if len(fields) != len(lines[0]):
            raise SourceError(f"{what} has {len(fields)} fields, but the header has {len(lines[0])}.")
        if columns.both is not None:
            called, mark, of_class = fields[columns.both].rpartition("_")
            if not mark:
                raise SourceError(f"{what} has {fields[columns.both]!r}: a picture, '_' and a class were expected.")
        else:
            called = fields[columns.picture or 0]
            of_class = "" if columns.value is None else fields[columns.value].strip()
        said = None
        if columns.size is not None:
            height, width = (_whole(fields[column]) for column in columns.size)
            said = (height, width) if height and width else None
        yield _Row(called.strip(), of_class, fields[columns.runs], what, said, name, columns.rows_of)


def _whole(text: str) -> int:
    number = text.strip().removesuffix(".0")
    return int(number) if is_count(number) else 0
