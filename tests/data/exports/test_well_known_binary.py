"""Well-known binary: both orders of bytes, heights and measures as ISO's and PostGIS's codes say them, collections."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.data.exports.well_known_binary import NotReadError, polygons_of_geopackage, polygons_of_wkb

RING = [(0.0, 0.0), (2.0, 0.5), (1.0, 3.0), (0.0, 0.0)]


def header(order: str, code: int) -> bytes:
    return struct.pack(f"{order}BI", order == "<", code)


def polygon(order: str = "<", code: int = 3, more: int = 0, srs: bool = False) -> bytes:
    points = b"".join(struct.pack(f"{order}{2 + more}d", *point, *[7.0] * more) for point in RING)
    number = struct.pack(f"{order}I", 32632) if srs else b""
    return header(order, code) + number + struct.pack(f"{order}II", 1, len(RING)) + points


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("code", "more"),
    [(3, 0), (1003, 1), (2003, 1), (3003, 2), (0x80000003, 1), (0x40000003, 1), (0xC0000003, 2)],
)
def test_polygons_with_heights_and_measures(order: str, code: int, more: int) -> None:
    assert polygons_of_wkb(polygon(order, code, more)) == [[RING]]


def test_postgis_names_a_coordinate_system() -> None:
    assert polygons_of_wkb(polygon(code=0x20000003, srs=True)) == [[RING]]


def test_collections_hold_points_and_lines_beside_polygons() -> None:
    point = header(">", 1) + struct.pack(">2d", 1, 2)
    line = header("<", 1002) + struct.pack("<I6d", 2, *range(6))
    points = header("<", 4) + struct.pack("<I", 1) + point
    parts = [point, line, points, polygon(">"), header("<", 6) + struct.pack("<I", 1) + polygon()]
    whole = header("<", 7) + struct.pack("<I", len(parts)) + b"".join(parts)
    assert polygons_of_wkb(whole) == [[RING], [RING]]
    for envelope, size in enumerate((0, 32, 48, 48, 64)):
        blob = b"GP\0" + bytes([envelope << 1 | 1]) + b"\0" * (4 + size) + whole
        assert polygons_of_geopackage(blob) == [[RING], [RING]]
    assert polygons_of_geopackage(b"GP\0\x11" + b"\0" * 4) == []


@pytest.mark.parametrize("kind", [10, 15, 16, 1012])
def test_arcs_and_surfaces_are_told(kind: int) -> None:
    with pytest.raises(NotReadError, match="arcs or surfaces"):
        polygons_of_wkb(header("<", kind) + struct.pack("<I", 0))


@pytest.mark.parametrize("length", range(len(polygon())))
def test_what_is_cut_off(length: int) -> None:
    with pytest.raises(NotReadError, match="cut off"):
        polygons_of_wkb(polygon()[:length])


def test_a_collection_in_a_collection_and_so_on() -> None:
    with pytest.raises(NotReadError, match="collection in a collection"):
        polygons_of_wkb((header("<", 7) + struct.pack("<I", 1)) * 5000 + polygon())


@given(st.binary(max_size=80))
def test_whatever_else_it_holds(content: bytes) -> None:
    for read in (polygons_of_wkb, polygons_of_geopackage):
        with suppress(NotReadError):
            read(content)
