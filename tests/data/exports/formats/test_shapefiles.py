"""ESRI shapefiles over rasters: those that GDAL wrote (golden/README.md), and small ones that pyshp writes.

Every map is compared with one call of rasterio's ``rasterize`` on the whole raster.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapefile
from affine import Affine
from rasterio.warp import transform_geom

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.formats import vectors
from internvl_seg.data.exports.source import Source

from ..making import GOLDEN, ids, written
from .test_vectors import CORNER, SIZE, UTM, raster, rendered, ring

WIDE = Affine(60, 0, CORNER[0] - 60, 0, -60, CORNER[1] + 1500)


def golden(folder: Path, name: str, *suffixes: str) -> None:
    for suffix in suffixes or (".shp", ".dbf", ".prj", ".cpg"):
        shutil.copy(GOLDEN / "shapes" / f"{name}{suffix}", folder / f"{name}{suffix}")


def outlines() -> list[Any]:
    given = json.loads((GOLDEN / "layers.json").read_text())
    return transform_geom("EPSG:4326", UTM, [{"type": "MultiPolygon", "coordinates": parts} for parts in given])


def shapes(path: Path, *geometries: list[Any], values: list[str] | None = None, **options: Any) -> Path:
    """Polygons of one or more rings, with a text each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with shapefile.Writer(str(path.with_suffix("")), shapeType=shapefile.POLYGON, **options) as file:
        file.field("CLASS", "C", 20)
        for i, rings in enumerate(geometries):
            file.poly(rings) if rings else file.null()
            file.record(values[i] if values else "a")
    return path


@pytest.mark.parametrize(("name", "house"), [("areas", "house"), ("utm", "Häuser")])
def test_what_gdal_writes(tmp_path: Path, name: str, house: str) -> None:
    """A hole, two parts with heights, a null geometry; ESRI's names of coordinate systems; two encodings."""
    golden(tmp_path, name)
    raster(tmp_path / "ortho.tif", WIDE)
    module, why = find_format(Source(tmp_path))
    assert (module, why) == (vectors, f"{name}.shp holds features")
    export = vectors.read(Source(tmp_path))
    names = [label.name for label in export.classes]
    assert names == sorted([house, "road"])
    first, second = outlines()
    expected = rendered((first, names.index(house)), (second, names.index("road")), transform=WIDE)
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), expected)
    assert set(np.unique(expected).tolist()) == {0, 1, UNLABELLED}
    assert any("Features without a geometry, left out: 1" in note for note in export.notes)


def test_one_file_is_named(tmp_path: Path) -> None:
    golden(tmp_path, "areas")
    raster(tmp_path / "rasters/ortho.tif", WIDE)
    export = vectors.read(Source(tmp_path / "areas.shp", images=tmp_path / "rasters"))
    assert len(export.pictures) == 1


def test_without_a_table_and_a_system(tmp_path: Path) -> None:
    """Areas are of one class, by the file's name, in the coordinates of the rasters."""
    golden(tmp_path, "utm", ".shp")
    raster(tmp_path / "ortho.tif", WIDE)
    export = vectors.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["utm"]
    expected = rendered(*((one, 0) for one in outlines()), transform=WIDE)
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), expected)
    text = " ".join(export.notes)
    assert "Shapefiles without a .dbf, whose areas have no attributes: 1; the first is utm.shp." in text
    assert "utm.shp names no coordinate system" in text


def test_rings_in_whatever_direction_and_suffixes_in_capitals(tmp_path: Path) -> None:
    """A hole in the direction of an outline is a hole, as for GDAL."""
    outer, hole, apart = ring(2, 3, 20, 15), ring(6, 6, 9, 9), ring(25, 5, 35, 12)
    shapes(tmp_path / "made/a.shp", [outer, hole, apart[::-1]], [ring(4, 16, 30, 25)], values=["house", "road"])
    for suffix in (".shp", ".dbf"):
        shutil.copy(tmp_path / f"made/a{suffix}", tmp_path / f"A{suffix.upper()}")
    shutil.rmtree(tmp_path / "made")
    raster(tmp_path / "ortho.tif")
    export = vectors.read(Source(tmp_path))
    house = {"type": "MultiPolygon", "coordinates": [[outer, hole], [apart]]}
    road = {"type": "Polygon", "coordinates": [ring(4, 16, 30, 25)]}
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), rendered((house, 0), (road, 1)))


def test_points_are_no_areas(tmp_path: Path) -> None:
    with shapefile.Writer(str(tmp_path / "a"), shapeType=shapefile.POINT) as file:
        file.field("CLASS", "C", 20)
        file.point(1, 2)
        file.record("a")
    raster(tmp_path / "ortho.tif")
    with pytest.raises(SourceError, match="shapefile with polygons"):
        vectors.read(Source(tmp_path))


@pytest.mark.parametrize("cut", [0, 20, 50, 150, 300, 600])
def test_a_file_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    golden(tmp_path, "areas")
    path = tmp_path / "areas.shp"
    path.write_bytes(path.read_bytes()[:cut])
    raster(tmp_path / "ortho.tif", WIDE)
    with pytest.raises(SourceError, match=r"areas\.shp (is no shapefile that can be read|.* it is cut off)"):
        vectors.read(Source(tmp_path))


def test_rows_that_are_of_other_shapes(tmp_path: Path) -> None:
    shapes(tmp_path / "a.shp", [ring(2, 3, 20, 15)])
    shapes(tmp_path / "more/b.shp", [ring(2, 3, 20, 15)], [ring(4, 16, 30, 25)])
    shutil.copy(tmp_path / "more/b.dbf", tmp_path / "a.dbf")
    shutil.rmtree(tmp_path / "more")
    raster(tmp_path / "ortho.tif")
    with pytest.raises(SourceError, match=r"a\.shp has 1 shapes, and a\.dbf 2 rows"):
        vectors.read(Source(tmp_path))


@pytest.mark.parametrize("said", [None, "65001", "ANSI 1252", "1252", "nonsense"])
def test_the_encoding_of_a_table(tmp_path: Path, said: str | None) -> None:
    encoding = "utf-8" if said in (None, "65001") else "cp1252"
    shapes(tmp_path / "a.shp", [ring(2, 3, 20, 15)], values=["Straße"], encoding=encoding)
    for written_too in tmp_path.glob("*.cpg"):
        written_too.unlink()
    if said:
        written(tmp_path / "a.cpg", said)
    raster(tmp_path / "ortho.tif")
    assert [label.name for label in vectors.read(Source(tmp_path)).classes] == ["Straße"]


@pytest.mark.parametrize("text", ["nonsense", "crs.txt", "EPSG:32632", 'GEOGCS["x"]', ""])
def test_a_coordinate_system_that_is_not_known(tmp_path: Path, text: str) -> None:
    shapes(tmp_path / "a.shp", [ring(2, 3, 20, 15)])
    written(tmp_path / "a.prj", text)
    raster(tmp_path / "ortho.tif")
    with pytest.raises(SourceError, match=r"a\.prj has the coordinate system"):
        vectors.read(Source(tmp_path))


def test_reading_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    golden(tmp_path, "areas")
    raster(tmp_path / "ortho.tif", WIDE)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    vectors.read(Source(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
