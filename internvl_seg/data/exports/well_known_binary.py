"""Areas of OGC's well-known binary geometries, also those that GeoPackage puts a header of its own before.

Read in place of a library: pyogrio and fiona bring a second GDAL beside rasterio's.
"""

import struct
from typing import TypeAlias

import numpy as np

# Outlines of a polygon, the first its border, the others its holes; points are (x, y).
Polygon: TypeAlias = list[list[tuple[float, float]]]

_POLYGON, _MULTI_POLYGON, _COLLECTION = 3, 6, 7
_NOT_READ = frozenset({8, 9, 10, 11, 12, 13, 14, 15, 16, 17})  # Arcs, surfaces and triangles.
# Of GeoPackage's envelopes: none, x and y, with z, with m, with both; in bytes.
_ENVELOPES = (0, 32, 48, 48, 64)
_DEEPEST = 16


class NotReadError(ValueError):
    """A geometry is broken, or of a kind that is not read; the message says which."""


def polygons_of_geopackage(blob: bytes) -> list[Polygon]:
    """The polygons of a geometry as a table of a GeoPackage holds it; none if it is of points or lines.

    Raises:
        NotReadError: It is broken or has arcs.
    """
    if len(blob) < 8 or blob[:2] != b"GP" or (kind := blob[3] >> 1 & 7) >= len(_ENVELOPES):
        raise NotReadError("it does not begin as GeoPackage's geometries do")
    return [] if blob[3] >> 4 & 1 else polygons_of_wkb(blob[8 + _ENVELOPES[kind] :])


def polygons_of_wkb(content: bytes) -> list[Polygon]:
    """The polygons of a geometry in ISO's or PostGIS's well-known binary; none if it is of points or lines.

    Raises:
        NotReadError: It is broken or has arcs.
    """
    try:
        return _Reader(content).geometry(0)
    except (struct.error, ValueError, IndexError) as error:
        if isinstance(error, NotReadError):
            raise
        raise NotReadError("it is cut off") from error


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def geometry(self, depth: int) -> list[Polygon]:
        if depth > _DEEPEST:
            raise NotReadError("it is a collection in a collection, and so on")
        order = "<" if self._content[self._at] == 1 else ">"
        self._at += 1
        code = self._whole(order)
        kind = (code & 0xFFFF) % 1000
        thousands = (code & 0xFFFF) // 1000
        dimensions = (
            2 + (thousands in (1, 3) or bool(code & 0x80000000)) + (thousands in (2, 3) or bool(code & 0x40000000))
        )
        if code & 0x20000000:
            self._whole(order)  # PostGIS's number of the coordinate system.
        if kind == _POLYGON:
            return [[self._ring(order, dimensions) for _ in range(self._count(order, 4))]]
        if kind in (_MULTI_POLYGON, _COLLECTION):
            inside = [self.geometry(depth + 1) for _ in range(self._count(order, 5))]
            return [polygon for polygons in inside for polygon in polygons]
        if kind in _NOT_READ:
            raise NotReadError("it has arcs or surfaces; make polygons of them")
        if depth:  # Points and lines beside polygons are to be passed over.
            self._pass_over(kind, order, dimensions, depth)
        return []

    def _pass_over(self, kind: int, order: str, dimensions: int, depth: int) -> None:
        if kind == 1:
            self._at += 8 * dimensions
        elif kind == 2:
            self._ring(order, dimensions)
        elif kind in (4, 5):
            for _ in range(self._count(order, 5)):
                self.geometry(depth + 1)
        else:
            raise NotReadError(f"it is of kind {kind}, which is unknown")

    def _ring(self, order: str, dimensions: int) -> list[tuple[float, float]]:
        count = self._count(order, 8 * dimensions)
        values = np.frombuffer(self._content, f"{order}f8", count * dimensions, self._at).reshape(-1, dimensions)
        self._at += values.nbytes
        return [(x, y) for x, y in values[:, :2].tolist()]

    def _count(self, order: str, smallest: int) -> int:
        """How many parts follow, each of some bytes at least."""
        count = self._whole(order)
        if count * smallest > len(self._content) - self._at:
            raise NotReadError("it is cut off")
        return count

    def _whole(self, order: str) -> int:
        (value,) = struct.unpack_from(f"{order}I", self._content, self._at)
        self._at += 4
        return int(value)
