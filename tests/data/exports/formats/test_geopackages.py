"""GeoPackage (OGC) as GDAL writes it, and what is none; maps are compared with rasterio's ``rasterize``."""

import gzip
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.warp import transform_geom

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.formats import vectors
from internvl_seg.data.exports.source import Source

from ..making import GOLDEN, ids, written
from .test_vectors import CORNER, SIZE, UTM, raster, rendered


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    raster(tmp_path / "ortho.tif")
    return tmp_path


def geopackage(path: Path, blob: bytes | None, table: str = "TABLE t (fid, geom, class)") -> Path:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE gpkg_geometry_columns (table_name, column_name, geometry_type_name, srs_id, z, m)")
    base.execute(
        "CREATE TABLE gpkg_spatial_ref_sys (srs_name, srs_id, organization, organization_coordsys_id, definition)"
    )
    base.execute("INSERT INTO gpkg_spatial_ref_sys VALUES ('UTM', 32632, 'EPSG', 32632, '')")
    base.execute("INSERT INTO gpkg_geometry_columns VALUES ('t', 'geom', 'POLYGON', 32632, 0, 0)")
    base.execute(f"CREATE {table}")
    if blob is not None:
        base.execute("INSERT INTO t VALUES (1, ?, 'house')", (blob,))
    base.commit()
    base.close()
    return path


def test_a_column_of_geometries_that_is_not_there(folder: Path) -> None:
    geopackage(folder / "a.gpkg", None, "TABLE t (fid, geometry, class)")
    with pytest.raises(
        SourceError, match=r"a\.gpkg says that the geometries of t are in its column 'geom', but it has"
    ):
        vectors.read(Source(folder))


def test_a_geopackage_of_gdal(folder: Path) -> None:
    """Two layers, the second of points; a hole, two parts with heights, a null geometry."""
    (folder / "layers.gpkg").write_bytes(gzip.decompress((GOLDEN / "layers.gpkg.gz").read_bytes()))
    outlines = json.loads((GOLDEN / "layers.json").read_text())
    wide = Affine(60, 0, CORNER[0] - 60, 0, -60, CORNER[1] + 1500)
    raster(folder / "ortho.tif", wide)
    export = vectors.read(Source(folder))
    assert [label.name for label in export.classes] == ["house", "road"]
    given = [{"type": "MultiPolygon", "coordinates": parts} for parts in outlines]
    house, road = transform_geom("EPSG:4326", UTM, given)
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), rendered((house, 0), (road, 1), transform=wide))
    assert set(np.unique(ids(export, "ortho", *SIZE)).tolist()) == {0, 1, UNLABELLED}
    assert export.notes == (
        "The class is the attribute 'kind' of layers.gpkg: house, road.",
        "Features without a geometry, left out: 1; the first is row 3 of areas in layers.gpkg.",
        "Features that are no areas (points, lines), left out: 1; the first is row 1 of points in layers.gpkg.",
    )


def test_a_view_may_be_without_an_end(folder: Path) -> None:
    endless = "VIEW t AS WITH RECURSIVE n(geom) AS (SELECT 1 UNION ALL SELECT geom + 1 FROM n) SELECT * FROM n"
    geopackage(folder / "a.gpkg", None, endless)
    with pytest.raises(SourceError, match="shapefile with polygons"):
        vectors.read(Source(folder))


@pytest.mark.parametrize("blob", [b"", b"no geometry", b"GP\0\1\0\0\0\0", b"GP\0\1\0\0\0\0\1\3\0\0\0\xff\xff\xff\xff"])
def test_geometries_that_are_cut_off(folder: Path, blob: bytes) -> None:
    geopackage(folder / "a.gpkg", blob)
    with pytest.raises(SourceError, match=r"geometry of row 1 of t in a\.gpkg cannot be read"):
        vectors.read(Source(folder))


def test_what_is_no_geopackage(folder: Path) -> None:
    written(folder / "a.gpkg", "no database")
    with pytest.raises(SourceError, match=r"a\.gpkg is no GeoPackage"):
        vectors.read(Source(folder))


def test_a_geopackage_that_is_open_elsewhere(folder: Path) -> None:
    geopackage(folder / "a.gpkg", None)
    written(folder / "a.gpkg-wal", "changes")
    with pytest.raises(SourceError, match="is open in another program"):
        vectors.read(Source(folder))


def test_reading_leaves_the_folder_as_it_is(folder: Path) -> None:
    (folder / "layers.gpkg").write_bytes(gzip.decompress((GOLDEN / "layers.gpkg.gz").read_bytes()))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    vectors.read(Source(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
