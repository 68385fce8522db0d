"""VGG Image Annotator's CSV exports, as its JSON has the same: of versions 1 and 2 a row a region, and of version 3.

The columns are those that ``via.js`` of versions 1 and 2 and ``_via_import_export.js`` of version 3 write
(https://gitlab.com/vgg/via). Tables of the first two have no names of options, only their ids.
"""

import csv
import io
import json
from typing import Any

from .export import SourceError
from .fields import as_list, as_mapping, is_count
from .notes import Notes
from .source import Source
from .via_projects import ViaFiles, files_of_project

_COLUMNS = [
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
]
_COLUMNS_OF_THREE = ["metadata_id", "file_list", "flags", "temporal_coordinates", "spatial_coordinates", "metadata"]
_HEADER_OF_THREE = "# CSV_HEADER = "
# Notes on attributes and their options stand before the header.
_HEAD = 1 << 16


def via_tables(source: Source) -> list[str]:
    """The CSV files that VGG Image Annotator wrote."""
    return [name for name in source.of_suffix(".csv") if _is_table(source, name)]


def _is_table(source: Source, name: str) -> bool:
    with source.path(name).open("rb") as file:
        lines = file.read(_HEAD).decode("utf-8-sig", "replace").splitlines()
    return bool(lines) and (
        _columns(lines[0].lstrip("# ")) == _COLUMNS
        or any(_columns(line.removeprefix(_HEADER_OF_THREE)) == _COLUMNS_OF_THREE for line in lines)
    )


def _columns(line: str) -> list[str]:
    return [column.strip().strip('"') for column in line.split(",")]


def files_of_table(source: Source, name: str, notes: Notes) -> ViaFiles:
    """The pictures of a table with their regions.

    Raises:
        SourceError: A row is not as VGG Image Annotator writes it.
    """
    try:
        text = source.path(name).read_bytes().decode("utf-8-sig")
    except ValueError as error:
        raise SourceError(f"{source.path(name)} is no UTF-8: {error}. Export it again, or as JSON.") from error
    if _HEADER_OF_THREE in text:
        return _of_three(text, name, notes)
    entries: dict[str, Any] = {}
    for number, fields in _rows(text, name)[1:]:
        what = f"line {number} of {name}"
        if len(fields) < len(_COLUMNS):
            raise SourceError(f"{what} has {len(fields)} fields, and {len(_COLUMNS)} were expected. Export it again.")
        # A comma in the name of a file is as bare as those between fields.
        named, fields = ",".join(fields[: 1 - len(_COLUMNS)]), fields[1 - len(_COLUMNS) :]
        size = int(fields[0]) if is_count(fields[0].strip().lstrip("-")) else -1
        entry = entries.setdefault(f"{named}{size}", {"filename": named, "size": size, "regions": []})
        shape = as_mapping(_json(fields[4], what), f"'region_shape_attributes' of {what}")
        if shape:
            given = as_mapping(_json(fields[5], what), f"'region_attributes' of {what}")
            entry["regions"].append({"shape_attributes": shape, "region_attributes": given})
    notes.say(f"{name} has no names of options: classes are called as the regions in it store them.")
    return ViaFiles(entries, {})


def _rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    longest = csv.field_size_limit(max(len(text), 1))  # A field may be as long as the file.
    try:
        reader = csv.reader(io.StringIO(text, newline=""))
        return [(reader.line_num, fields) for fields in reader if any(map(str.strip, fields))]
    except csv.Error as error:
        raise SourceError(f"{name} is no CSV: {error}. Export it again, or as JSON.") from error
    finally:
        csv.field_size_limit(longest)


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{what} holds {text[:60]!r}, which is no JSON: {error}. Export it again.") from error


def _of_three(text: str, name: str, notes: Notes) -> ViaFiles:
    attributes: dict[str, Any] = {}
    for line in text.splitlines():
        before, mark, said = line.partition(" = ")
        if mark and before in ("# ATTRIBUTE", "# ATTRIBUTES"):
            found = as_mapping(_json(said, f"the line {before!r} of {name}"), f"the attributes of {name}")
            # Earlier versions wrote no more than the names.
            attributes = {aid: {"aname": one} if isinstance(one, str) else one for aid, one in found.items()}
    content: dict[str, Any] = {"attribute": attributes, "file": {}, "view": {}, "metadata": {}}
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for number, fields in _rows(body, name):
        what = f"row {number} of {name}"
        if len(fields) != len(_COLUMNS_OF_THREE):
            raise SourceError(
                f"{what} has {len(fields)} fields, and {len(_COLUMNS_OF_THREE)} were expected. Export it again."
            )
        listed = [str(one) for one in as_list(_json(fields[1], what), f"'file_list' of {what}")]
        view = fields[1]
        content["file"] |= {file: {"fname": file} for file in listed}
        content["view"][view] = {"fid_list": listed}
        z, xy, values = (_json(field, what) for field in fields[3:])
        content["metadata"][fields[0]] = {"vid": view, "z": z, "xy": xy, "av": values}
    return files_of_project(content, name, notes)
