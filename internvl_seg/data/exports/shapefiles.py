"""Layers of polygons in ESRI shapefiles: ``x.shp`` with ``x.dbf`` and ``x.prj`` beside it.

As the "ESRI Shapefile Technical Description" has them, read by pyshp. All rings of a shape are one polygon, of which
what is inside an odd number of rings counts, as GDAL burns them: which are holes is not asked.
"""

import codecs
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import shapefile
from rasterio.crs import CRS
from rasterio.errors import CRSError

from .export import SourceError
from .notes import Notes
from .source import Source
from .vector_layers import Layer, add_feature
from .well_known_binary import Polygon

_POLYGONS = (5, 15, 25)
_NOTHING, _PATCHES = 0, 31
_LEAST_OF_RING = 4  # The first point stands again at the end.
_LENGTH_AT = 24  # Of the file, in words of 16 bits.
# What .cpg files of ESRI call Windows' and Unicode's code pages; others have Python's names.
_CODE_PAGES = {"65001": "utf-8", "ANSI": "cp1252", "UTF8": "utf-8"}
# Of a table that does not say its encoding, in the order in which they are tried.
_USUAL = ("utf-8", "cp1252", "latin-1")
_WELL_KNOWN_TEXTS = ("PROJCS[", "GEOGCS[", "PROJCRS[", "GEOGCRS[", "COMPD_CS[", "COMPOUNDCRS[")


def shapefiles(source: Source) -> list[str]:
    """The shapefiles."""
    return source.of_suffix(".shp")


def read_shapefile(source: Source, name: str, notes: Notes) -> Layer:
    """The polygons of a shapefile.

    Raises:
        SourceError: It is damaged, or its polygons are not flat.
    """
    path = source.path(name)
    table, system = _beside(path, ".dbf"), _beside(path, ".prj")
    layer = Layer(PurePosixPath(name).stem, name, None if system is None else _system(system))
    if table is None:
        notes.add("Shapefiles without a .dbf, whose areas have no attributes", name)
    try:
        for number, (shape, values) in enumerate(_rows(path, table), start=1):
            what = f"shape {number} of {name}"
            if shape.shapeType == _NOTHING:
                notes.add("Features without a geometry, left out", what)
                continue
            if shape.shapeType == _PATCHES:
                raise SourceError(f"{what} is a MultiPatch, a body: polygons were expected. Save its outlines.")
            polygons = [_rings(shape)] if shape.shapeType in _POLYGONS else []
            add_feature(layer, polygons, values, what, notes)
    except SourceError:
        raise
    except Exception as error:  # What pyshp raises differs with where a file is damaged.
        raise SourceError(f"{path} is no shapefile that can be read: {error}. Export it again.") from error
    return layer


def _rows(path: Path, table: Path | None) -> list[tuple[Any, dict[str, Any]]]:
    """Shapes with their attributes."""
    with path.open("rb") as file:
        said = int.from_bytes(file.read(_LENGTH_AT + 4)[_LENGTH_AT:], "big") * 2
    if said > path.stat().st_size:
        raise SourceError(f"{path} has {path.stat().st_size} bytes, but says {said}: it is cut off. Export it again.")
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {"shp": stack.enter_context(path.open("rb"))}
        if table is not None:
            files["dbf"] = stack.enter_context(table.open("rb"))
        # Every byte is a character of Latin-1, until all texts are seen.
        reader = stack.enter_context(shapefile.Reader(encoding="latin-1", **files))
        shapes = list(reader.iterShapes())
        if table is None:
            return [(shape, {}) for shape in shapes]
        values = [dict(record.as_dict()) for record in reader.iterRecords()]
    if len(values) != len(shapes):
        raise SourceError(
            f"{path} has {len(shapes)} shapes, and {table.name} {len(values)} rows: they are not of one export. Export "
            "both again."
        )
    return list(zip(shapes, _decoded(values, table), strict=True))


def _decoded(rows: list[dict[str, Any]], table: Path) -> list[dict[str, Any]]:
    """The rows of a table in the encoding that it says, or in the first of the usual ones that all texts have."""
    encodings = _encodings(table)
    for encoding in encodings:
        try:
            return [
                {
                    key: value.encode("latin-1").decode(encoding) if isinstance(value, str) else value
                    for key, value in row.items()
                }
                for row in rows
            ]
        except UnicodeDecodeError:
            continue
    raise SourceError(f"{table} is not in {', '.join(encodings)}. Save it in UTF-8 with a .cpg file.")


def _rings(shape: Any) -> Polygon:
    points = [(float(point[0]), float(point[1])) for point in shape.points]
    rings = (points[start:end] for start, end in pairwise([*shape.parts, len(points)]))
    return [ring for ring in rings if len(ring) >= _LEAST_OF_RING]


def _beside(path: Path, suffix: str) -> Path | None:
    """The file of the same name with another suffix, in whatever case."""
    wanted = (path.stem + suffix).casefold()
    return next((other for other in sorted(path.parent.iterdir()) if other.name.casefold() == wanted), None)


def _encodings(table: Path) -> tuple[str, ...]:
    """What the .cpg file beside a table says, or else what is usual."""
    said = _beside(table, ".cpg")
    text = "" if said is None else said.read_bytes().decode("ascii", "replace").strip()
    for name in (_CODE_PAGES.get(text.upper()), text, f"cp{text.removeprefix('ANSI ')}"):
        try:
            if name:
                return (codecs.lookup(name).name,)
        except LookupError:
            continue
    return _USUAL


def _system(path: Path) -> CRS:
    """The coordinate system of a .prj file, by its number if it has one: ESRI writes names of its own."""
    text = path.read_bytes().decode("utf-8-sig", "replace").strip()
    try:
        # PROJ would also take names of files and addresses.
        if not text.upper().startswith(_WELL_KNOWN_TEXTS):
            raise ValueError("it is no well-known text")
        crs = CRS.from_wkt(text, morph_from_esri_dialect=True)
        number = crs.to_epsg()
        return crs if number is None else CRS.from_epsg(number)
    except (CRSError, ValueError) as error:
        raise SourceError(
            f"{path} has the coordinate system {text[:60]!r}, which is not known: {str(error)[:80]}. Save it as "
            "EPSG:4326."
        ) from error
