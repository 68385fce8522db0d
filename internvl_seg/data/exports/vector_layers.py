"""Layers of polygons in GeoJSON and GeoPackage files."""

import math
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rasterio.crs import CRS
from rasterio.errors import CRSError

from .export import SourceError
from .notes import Notes
from .source import Source
from .well_known_binary import NotReadError, Polygon, polygons_of_geopackage

# What GeoJSON's coordinates are, if it does not say (RFC 7946).
_LONGITUDE_LATITUDE = "EPSG:4326"
# As in 'EPSG:32632', 'urn:ogc:def:crs:EPSG::32632' and 'http://www.opengis.net/def/crs/EPSG/0/32632'.
_EPSG = re.compile(r"(?:.*[:/])?EPSG(?::[\d.]*:|:|/[\d.]+/)([0-9]{4,6})", re.IGNORECASE)
_WELL_KNOWN_TEXT = re.compile(r"(?:GEOG|PROJ|COMPD|COMPOUND|BOUND|GEOD|LOCAL_|ENG)[A-Z]*\[", re.IGNORECASE)
_LEAST_OF_RING = 4  # The first point stands again at the end.


@dataclass
class Layer:
    """Polygons with their attributes.

    Attributes:
        name: Of the layer.
        source: The file, below the source's folder.
        crs: The coordinate system; None if the file does not say, and it is the rasters' own.
        geometries: Each the polygons of a feature.
        attributes: Of each.
    """

    name: str
    source: str
    crs: CRS | None
    geometries: list[list[Polygon]] = field(default_factory=list)
    attributes: list[dict[str, Any]] = field(default_factory=list)


def vector_files(source: Source) -> list[str]:
    """GeoPackage files, and GeoJSON ones of either suffix."""
    plain = (name for name in source.of_suffix(".json") if source.holds(name, b'"FeatureCollection"'))
    return sorted([*source.of_suffix(".geojson", ".gpkg"), *plain])


def read_layers(source: Source, name: str, notes: Notes) -> list[Layer]:
    """The layers of a file that have polygons.

    Raises:
        SourceError: It is not as such files are.
    """
    found = _geopackage(source, name, notes) if name.lower().endswith(".gpkg") else [_geojson(source, name, notes)]
    return [layer for layer in found if layer.geometries]


def _geojson(source: Source, name: str, notes: Notes) -> Layer:
    data = source.json(name)
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list):
        raise SourceError(f"{source.path(name)} has no list 'features', as GeoJSON's FeatureCollection has.")
    layer = Layer(PurePosixPath(name).stem, name, None)
    for number, feature in enumerate(features):
        what = f"feature {number} of {name}"
        if not isinstance(feature, dict):
            raise SourceError(f"{what} is {str(feature)[:60]!r}: GeoJSON's Feature was expected.")
        geometry = feature.get("geometry")
        if geometry is None:
            notes.add("Features without a geometry, left out", what)
            continue
        try:
            polygons = list(_polygons(geometry))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            raise SourceError(f"The geometry of {what} is not as GeoJSON's are: {str(geometry)[:60]!r}.") from error
        attributes = feature.get("properties")
        add_feature(layer, polygons, attributes if isinstance(attributes, dict) else {}, what, notes)
    layer.crs = _crs_of_geojson(source, name, data, layer, notes)
    return layer


def _polygons(geometry: dict[str, Any]) -> Iterator[Polygon]:
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _polygons(part)
    elif kind in ("Polygon", "MultiPolygon"):
        for polygon in [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]:
            yield [[(float(point[0]), float(point[1])) for point in ring] for ring in polygon]


def _crs_of_geojson(source: Source, name: str, data: dict[str, Any], layer: Layer, notes: Notes) -> CRS | None:
    """What the file says, as before RFC 7946, or else longitude and latitude, if the numbers can be these."""
    said = data.get("crs")
    if isinstance(said, dict) and isinstance(said.get("properties"), dict) and "name" in said["properties"]:
        text = str(said["properties"]["name"])
        # OGC's CRS84 is EPSG:4326 with the longitude first, as GeoJSON has it.
        return crs_of(_LONGITUDE_LATITUDE if text.endswith("CRS84") else text, f"{source.path(name)}")
    points = (point for polygons in layer.geometries for polygon in polygons for ring in polygon for point in ring)
    if all(abs(x) <= 360 and abs(y) <= 90 for x, y in points):
        return crs_of(_LONGITUDE_LATITUDE, name)
    notes.say(f"The numbers of {name} are no longitudes and latitudes; they are taken as the rasters' own coordinates.")
    return None


def crs_of(text: str, where: str) -> CRS:
    """A coordinate system from EPSG's number, as text of several kinds has it, or from well-known text.

    PROJ would also take names of files and addresses, which whoever made the file may have chosen.

    Raises:
        SourceError: It is neither, or unknown.
    """
    try:
        if number := _EPSG.fullmatch(text.strip()):
            return CRS.from_epsg(int(number[1]))
        if _WELL_KNOWN_TEXT.match(text.strip()):
            return CRS.from_wkt(text)
    except (CRSError, ValueError, OverflowError) as error:
        reason = f": {error}"
    else:
        reason = ""
    raise SourceError(
        f"{where} has the coordinate system {text[:80]!r}, which is not known{reason[:120]}. Save it as EPSG:4326."
    )


def _geopackage(source: Source, name: str, notes: Notes) -> list[Layer]:
    path = source.path(name)
    log = Path(f"{path}-wal")
    if log.is_file() and log.stat().st_size:
        raise SourceError(f"{path} is open in another program, or was not closed: {log.name} has changes. Close it.")
    # The log aside, SQLite would write beside the file to read it.
    base = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True)
    try:
        base.text_factory = lambda content: content.decode("utf-8", "replace")
        base.execute("PRAGMA trusted_schema=OFF")
        return list(_tables(base, path, name, notes))
    except sqlite3.Error as error:
        raise SourceError(f"{path} is no GeoPackage: {error}. Export it again.") from error
    finally:
        base.close()


def _tables(base: sqlite3.Connection, path: Path, name: str, notes: Notes) -> Iterator[Layer]:
    kinds = dict(base.execute("SELECT name, upper(substr(sql, 1, 13)) FROM sqlite_master WHERE type = 'table'"))
    query = "SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns ORDER BY table_name"
    for table, column, srs in base.execute(query).fetchall():
        if not str(kinds.get(table, "")).startswith("CREATE TABLE"):
            notes.add("Views and other layers that are no tables, left out", f"{table} of {name}")
            continue
        layer = Layer(str(table), name, _crs_of_geopackage(base, srs, path))
        rows = base.execute(f"SELECT * FROM {_quoted(table)}")
        columns = [description[0] for description in rows.description]
        at = next((i for i, title in enumerate(columns) if title.casefold() == str(column).casefold()), None)
        if at is None:
            raise SourceError(
                f"{path} says that the geometries of {table} are in its column {str(column)[:60]!r}, but it has "
                f"{', '.join(columns)[:120]}. Export it again."
            )
        for number, row in enumerate(rows, start=1):
            what = f"row {number} of {table} in {name}"
            if not isinstance(row[at], bytes):
                notes.add("Features without a geometry, left out", what)
                continue
            try:
                polygons = polygons_of_geopackage(row[at])
            except NotReadError as error:
                raise SourceError(f"The geometry of {what} cannot be read: {error}.") from error
            others = zip(columns, row, strict=True)
            add_feature(
                layer, polygons, {key: value for key, value in others if not isinstance(value, bytes)}, what, notes
            )
        yield layer


def _quoted(table: object) -> str:
    return '"' + str(table).replace('"', '""') + '"'


def _crs_of_geopackage(base: sqlite3.Connection, srs: Any, path: Path) -> CRS | None:
    query = "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?"
    row = base.execute(query, (srs,)).fetchone()
    if row is None or str(row[2]).strip().casefold() == "undefined":
        return None
    return crs_of(f"EPSG:{row[1]}" if str(row[0]).upper() == "EPSG" else str(row[2]), str(path))


def add_feature(layer: Layer, polygons: list[Polygon], attributes: dict[str, Any], what: str, notes: Notes) -> None:
    """Add a feature to a layer, if it has an area.

    Args:
        layer: The layer.
        polygons: Of the feature; none if it is a point or a line.
        attributes: Its attributes.
        what: For messages: "feature 7 of a.geojson".
        notes: Takes what has no area.

    Raises:
        SourceError: A coordinate is no number.
    """
    if not polygons:
        notes.add("Features that are no areas (points, lines), left out", what)
        return
    for polygon in polygons:
        for ring in polygon:
            if not all(math.isfinite(x) and math.isfinite(y) for x, y in ring):
                raise SourceError(f"The geometry of {what} has a coordinate that is no number. Delete that feature.")
    kept = [
        [ring for ring in polygon if len(ring) >= _LEAST_OF_RING]
        for polygon in polygons
        if polygon and len(polygon[0]) >= _LEAST_OF_RING
    ]
    if not kept:
        notes.add("Polygons of fewer than three points, left out", what)
        return
    layer.geometries.append(kept)
    layer.attributes.append(attributes)
