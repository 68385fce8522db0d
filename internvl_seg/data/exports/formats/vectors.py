"""GeoJSON, GeoPackage and shapefile polygons over georeferenced rasters, which may be in another coordinate system.

RFC 7946 (https://datatracker.ietf.org/doc/html/rfc7946), with the ``crs`` that QGIS and GDAL still write, OGC's
GeoPackage (https://www.geopackage.org/spec/), and ESRI's shapefiles. Pixels are a polygon's if their middle is in it:
rasterio's ``rasterize`` with ``all_touched=False``; later features are on top.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.warp import transform_geom

from ...gdal import RasterError, gdal, open_raster
from ..class_attribute import class_attribute, value_of
from ..class_table import table_of_values
from ..export import IGNORED, UNLABELLED, Drawn, Export, Labels, SourceError, Window, whole_map
from ..notes import Notes
from ..picture_index import Labelled, PictureIndex
from ..shapefiles import read_shapefile, shapefiles
from ..source import Source
from ..splitting import split_of
from ..vector_layers import Layer, read_layers, vector_files

SUMMARY = "GeoJSON, GeoPackage or shapefile polygons over georeferenced rasters (GeoTIFF) beside them or in --images"
# Pixels of a raster that is drawn as one, so that not a pixel depends on how it is cut.
_WHOLE = 1 << 28


class _Raster(NamedTuple):
    size: tuple[int, int]
    transform: Affine
    crs: CRS | None


class _Areas(NamedTuple):
    """Geometries in a raster's coordinates, the values of their classes, and (left, bottom, right, top) of each."""

    geometries: list[dict[str, Any]]
    values: list[int]
    bounds: NDArray[np.float64]

    def within(self, box: tuple[float, float, float, float]) -> "_Areas":
        """Those that may touch a box."""
        left, bottom, right, top = box
        inside = (self.bounds[:, :2] <= (right, top)).all(1) & (self.bounds[:, 2:] >= (left, bottom)).all(1)
        kept = np.flatnonzero(inside).tolist()
        return _Areas([self.geometries[i] for i in kept], [self.values[i] for i in kept], self.bounds[kept])


def recognise(source: Source) -> str | None:
    """What tells that it is polygons over rasters."""
    files = [*vector_files(source), *shapefiles(source)]
    return f"{files[0]} holds features" if files else None


def read(source: Source) -> Export:
    """Read it.

    Raises:
        SourceError: There are no polygons or no rasters, or they are not as such files are.
    """
    notes, index = Notes(), PictureIndex(source)
    layers = [layer for name in vector_files(source) for layer in read_layers(source, name, notes)]
    layers += [layer for name in shapefiles(source) if (layer := read_shapefile(source, name, notes)).geometries]
    if not layers:
        raise SourceError(f"{source.root} has no GeoJSON, GeoPackage or shapefile with polygons.")
    said = [_values(source, layer, notes) for layer in layers]
    named = list(dict.fromkeys(value for values in said for value in values if value is not None))
    table, places = table_of_values(source, named, " and ".join(layer.source for layer in layers[:3]))
    values = [[IGNORED if value is None else places[value] for value in of_layer] for of_layer in said]
    systems: dict[CRS | None, _Areas] = {}
    found: dict[str, Labelled] = {}
    for file in index.files:
        raster = _raster(index, file, notes)
        if raster is None:
            continue
        if raster.crs not in systems:
            systems[raster.crs] = _areas(layers, values, raster.crs, file, notes)
        areas = systems[raster.crs].within(_box(raster, Window(0, 0, *raster.size)))
        labels = _labels(raster, areas, file) if areas.values else None
        if labels is None:
            notes.add("Rasters that no polygon touches, taken as not labelled", file)
        found[file] = Labelled(labels, layers[0].source, split_of(file))
    why = f"{layers[0].source} holds features"
    return Export("vectors", why, table.labels(), index.annotated(found), "background", notes.sentences())


def _values(source: Source, layer: Layer, notes: Notes) -> list[str | None]:
    """The class of each feature, None where the attribute is empty."""
    key = class_attribute(source, layer.attributes)
    if key is None:
        notes.say(f"No attribute of {layer.source} is a class; all areas are of one, by its name: {layer.name}.")
        return [layer.name] * len(layer.geometries)
    values = [value_of(attributes.get(key)) for attributes in layer.attributes]
    several = sorted({value for value in values if value is not None})
    notes.say(f"The class is the attribute {key!r} of {layer.source}: {', '.join(several[:10])}.")
    if None in values:
        notes.add(
            "Areas without a class, ignored", f"feature {values.index(None)} of {layer.source}", values.count(None)
        )
    return values


def _raster(index: PictureIndex, file: str, notes: Notes) -> _Raster | None:
    try:
        with gdal(f"{index.path(file)} cannot be read"), open_raster(index.path(file)) as data:
            raster = _Raster((data.height, data.width), data.transform, data.crs)
    except RasterError as error:
        notes.add("Pictures that cannot be read, left out", f"{file} ({error})")
        return None
    if raster.transform.is_identity:
        notes.add("Pictures without a georeference, left out", file)
        return None
    return raster


def _areas(layers: Sequence[Layer], values: Sequence[list[int]], crs: CRS | None, file: str, notes: Notes) -> _Areas:
    """All layers in a raster's coordinate system."""
    geometries: list[dict[str, Any]] = []
    classes: list[int] = []
    for layer, of_layer in zip(layers, values, strict=True):
        given: list[Any] = [{"type": "MultiPolygon", "coordinates": polygons} for polygons in layer.geometries]
        if layer.crs is None or crs is None:
            unknown = layer.source if layer.crs is None else file
            notes.say(f"{unknown} names no coordinate system; it is taken to be in that of the rasters and polygons.")
        elif layer.crs != crs:
            given = _transformed(given, layer.crs, crs)
        for geometry, value in zip(given, of_layer, strict=True):
            if geometry is None or not np.isfinite(_points(geometry)).all():
                notes.add("Areas that the rasters' coordinate system cannot show, left out", f"one of {layer.source}")
                continue
            geometries.append(geometry)
            classes.append(value)
    bounds = [(*points.min(0), *points.max(0)) for points in map(_points, geometries)]
    return _Areas(geometries, classes, np.array(bounds, np.float64).reshape(-1, 4))


def _transformed(geometries: list[Any], crs: CRS, into: CRS) -> list[Any]:
    """Geometries in another coordinate system; None for those that it cannot show, such as of a far country."""
    try:
        with gdal(""):  # All at once is far faster.
            return list(transform_geom(crs, into, geometries))
    except (RasterError, SystemError):  # GDAL tells PROJ's reason a few times; rasterio knows no other error then.
        if len(geometries) < 2:
            return [None] * len(geometries)
        middle = len(geometries) // 2
        return [part for half in (geometries[:middle], geometries[middle:]) for part in _transformed(half, crs, into)]


def _points(geometry: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([point for polygon in geometry["coordinates"] for ring in polygon for point in ring], np.float64)


def _box(raster: _Raster, window: Window) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a window in the raster's coordinates."""
    top, left, height, width = window
    corners = [_place(raster.transform, column, row) for column in (left, left + width) for row in (top, top + height)]
    x, y = zip(*corners, strict=True)
    return min(x), min(y), max(x), max(y)


def _place(transform: Affine, column: int, row: int) -> tuple[float, float]:
    """Where the corner of a pixel is."""
    a, b, c, d, e, f = transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def _labels(raster: _Raster, areas: _Areas, file: str) -> Labels:
    def check(size: tuple[int, int]) -> None:
        if size != raster.size:
            raise SourceError(
                f"{file} has {raster.size[0]} rows and {raster.size[1]} columns as a raster, but {size[0]} and "
                f"{size[1]} as a picture. Convert it to a plain GeoTIFF."
            )

    def paint(size: tuple[int, int]) -> Drawn:
        check(size)
        return _draw(areas, size, raster.transform, file)

    def paint_window(size: tuple[int, int], window: Window) -> Drawn:
        check(size)
        x, y = _place(raster.transform, window.left, window.top)
        a, b, _, d, e, _ = raster.transform[:6]
        moved = Affine(a, b, x, d, e, y)
        return _draw(areas.within(_box(raster, window)), (window.height, window.width), moved, file)

    return whole_map(paint) if raster.size[0] * raster.size[1] <= _WHOLE else paint_window


def _draw(areas: _Areas, size: tuple[int, int], transform: Affine, file: str) -> Drawn:
    try:
        with gdal(f"The polygons over {file} cannot be drawn"):
            return _burnt(areas, size, transform)
    except RasterError as error:
        raise SourceError(f"{error}. Save them in the coordinates of the raster.") from error


def _burnt(areas: _Areas, size: tuple[int, int], transform: Affine) -> Drawn:
    burn = partial(rasterize, transform=transform, all_touched=False)
    ids = np.full(size, UNLABELLED, np.uint8)
    pairs = list(zip(areas.geometries, areas.values, strict=True))
    if not pairs:
        return Drawn(ids)
    burn(pairs, out=ids)
    classes = sorted({value for value in areas.values if value < UNLABELLED})
    if len(classes) < 2:
        return Drawn(ids)
    once, twice = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    for value in classes:
        own = np.zeros(size, np.uint8)
        burn([(geometry, 1) for geometry, at in pairs if at == value], out=own)
        twice |= once & (own > 0)
        once |= own > 0
    return Drawn(ids, int(np.count_nonzero(twice)))
