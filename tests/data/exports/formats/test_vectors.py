"""GeoJSON (RFC 7946, and as GDAL and QGIS write it with a ``crs``) over rasters.

Every map is compared with one call of rasterio's ``rasterize`` on the whole raster.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.warp import transform_geom

from internvl_seg.data.exports.export import IGNORED, UNLABELLED, SourceError, Window
from internvl_seg.data.exports.formats import vectors
from internvl_seg.data.exports.source import Source

from ..making import by_name, drawn, ids, written

UTM = CRS.from_epsg(32632)
CORNER = (500_000.0, 5_538_630.0)  # Of 9 degrees east and 50 north, near enough.
SIZE = (60, 80)
TRANSFORM = Affine(0.5, 0, CORNER[0], 0, -0.5, CORNER[1] + 30)


def raster(path: Path, transform: Affine = TRANSFORM, crs: CRS | None = UTM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"height": SIZE[0], "width": SIZE[1], "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **options) as data:
        data.write(np.ones((3, *SIZE), np.uint8))
    return path


def ring(left: float, bottom: float, right: float, top: float) -> list[list[float]]:
    """A box in metres from the raster's lower left corner, slanted so that it crosses pixels."""
    points = [(left, bottom), (right, bottom + 0.7), (right - 0.3, top), (left + 0.4, top), (left, bottom)]
    return [[CORNER[0] + x, CORNER[1] + y] for x, y in points]


HOUSE = {"type": "Polygon", "coordinates": [ring(2, 3, 20, 15), ring(6, 6, 9, 9)]}
ROAD = {"type": "MultiPolygon", "coordinates": [[ring(10, 10, 30, 13)], [ring(32, 20, 60, 28)]]}


def in_degrees(geometry: Any) -> Any:
    return json.loads(json.dumps(transform_geom(UTM, "EPSG:4326", geometry)))


def collection(*features: tuple[Any, dict[str, Any]], crs: str | None = None) -> dict[str, Any]:
    said = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    listed = [{"type": "Feature", "geometry": geometry, "properties": values} for geometry, values in features]
    return {"type": "FeatureCollection", **said, "features": listed}


def rendered(*pairs: tuple[Any, int], transform: Affine = TRANSFORM) -> NDArray[np.uint8]:
    return np.asarray(rasterize(pairs, SIZE, fill=UNLABELLED, transform=transform, dtype="uint8", all_touched=False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    raster(tmp_path / "ortho.tif")
    return tmp_path


def test_degrees_over_metres(folder: Path) -> None:
    house, road = in_degrees(HOUSE), in_degrees(ROAD)
    content = collection((road, {"class": "road"}), (house, {"class": "house"}), (None, {"class": "house"}))
    content["features"].append(
        {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [9, 50]}}
    )
    written(folder / "labels.geojson", content)
    assert vectors.recognise(Source(folder)) == "labels.geojson holds features"
    export = vectors.read(Source(folder))
    assert [label.name for label in export.classes] == ["house", "road"]
    back = transform_geom("EPSG:4326", UTM, [road, house])
    found = drawn(export, "ortho", *SIZE)
    np.testing.assert_array_equal(found.ids, rendered((back[0], 1), (back[1], 0)))
    both = (rendered((back[0], 1)) == 1) & (rendered((back[1], 1)) == 1)
    assert found.overlapped == both.sum() > 0
    assert export.notes == (
        "The class is the attribute 'class' of labels.geojson: house, road.",
        "Features without a geometry, left out: 1; the first is feature 2 of labels.geojson.",
        "Features that are no areas (points, lines), left out: 1; the first is feature 3 of labels.geojson.",
    )


@pytest.mark.parametrize(
    "crs",
    [
        "urn:ogc:def:crs:EPSG::32632",
        "urn:ogc:def:crs:EPSG:9.8.2:32632",
        "EPSG:32632",
        "http://www.opengis.net/def/crs/EPSG/0/32632",
        UTM.to_wkt(),
        None,
    ],
)
def test_metres_as_gdal_writes_them_or_without_a_system(folder: Path, crs: str | None) -> None:
    written(folder / "roads.geojson", collection((HOUSE, {"id": 1}), (ROAD, {"id": 2}), crs=crs))
    export = vectors.read(Source(folder))
    assert [label.name for label in export.classes] == ["roads"]
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), rendered((HOUSE, 0), (ROAD, 0)))
    assert "No attribute of roads.geojson is a class; all areas are of one, by its name: roads." in export.notes
    assert any("taken as the rasters' own coordinates" in note for note in export.notes) == (crs is None)


def test_crs84_is_longitude_and_latitude(folder: Path) -> None:
    written(folder / "a.json", collection((in_degrees(HOUSE), {"type": 3.0}), crs="urn:ogc:def:crs:OGC:1.3:CRS84"))
    export = vectors.read(Source(folder))
    assert [label.name for label in export.classes] == ["3"]
    assert (ids(export, "ortho", *SIZE) == 0).any()


def test_windows_are_cut_from_the_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder / "a.geojson", collection((HOUSE, {"type": "a"}), (ROAD, {"type": "b"}), crs="EPSG:32632"))
    whole = ids(vectors.read(Source(folder)), "ortho", *SIZE)
    for most in (1 << 28, 100):
        monkeypatch.setattr(vectors, "_WHOLE", most)
        labels = by_name(vectors.read(Source(folder)), "ortho").labels
        assert labels is not None
        for window in (Window(0, 0, 30, 40), Window(13, 21, 17, 30), Window(30, 40, 30, 40)):
            top, left, height, width = window
            cut = whole[top : top + height, left : left + width]
            np.testing.assert_array_equal(labels(SIZE, window).ids, cut)


def test_features_of_far_countries_are_left_out(folder: Path) -> None:
    """PROJ refuses them for the raster's zone, and with them all that are asked for together."""
    far = {"type": "Polygon", "coordinates": [[[99, 0], [100, 0], [100, 1], [99, 0]]]}
    house, road = in_degrees(HOUSE), in_degrees(ROAD)
    written(folder / "a.geojson", collection(*((area, {"class": "a"}) for area in (far, house, far, road, far))))
    export = vectors.read(Source(folder))
    back = transform_geom("EPSG:4326", UTM, [road, house])
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), rendered((back[0], 0), (back[1], 0)))
    assert export.notes[-1].startswith("Areas that the rasters' coordinate system cannot show, left out: 3;")


def test_numbers_and_the_names_that_are_given(folder: Path) -> None:
    features = ((HOUSE, {"fid": 7, "code": 2}), (ROAD, {"fid": 8, "code": 1}))
    written(folder / "a.geojson", collection(*features, crs="EPSG:32632"))
    names = written(folder / "names.txt", "road\nhouse #ff0000\n")
    export = vectors.read(Source(folder, classes=names))
    assert [(label.name, label.colour) for label in export.classes] == [("road", None), ("house", (255, 0, 0))]
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), rendered((HOUSE, 1), (ROAD, 0)))


def test_the_attribute_whose_values_are_the_given_names(folder: Path) -> None:
    features = ((HOUSE, {"class": "x", "what": "house"}), (ROAD, {"class": "y", "what": "road"}))
    written(folder / "a.geojson", collection(*features, crs="EPSG:32632"))
    names = written(folder / "names.txt", "road\nhouse\n")
    assert (
        "The class is the attribute 'what' of a.geojson: house, road."
        in vectors.read(Source(folder, classes=names)).notes
    )
    assert [label.name for label in vectors.read(Source(folder)).classes] == ["x", "y"]


def test_areas_without_a_class_are_ignored(folder: Path) -> None:
    features = ((HOUSE, {"label": "house"}), (ROAD, {"label": None}))
    written(folder / "a.geojson", collection(*features, crs="EPSG:32632"))
    export = vectors.read(Source(folder))
    np.testing.assert_array_equal(ids(export, "ortho", *SIZE), rendered((HOUSE, 0), (ROAD, IGNORED)))
    assert "Areas without a class, ignored: 1; the first is feature 1 of a.geojson." in export.notes


def test_rasters_apart_without_a_georeference_or_a_polygon(tmp_path: Path) -> None:
    raster(tmp_path / "far" / "train" / "here.tif")
    raster(tmp_path / "far" / "val" / "away.tif", Affine(0.5, 0, 600_000, 0, -0.5, 5_000_000))
    raster(tmp_path / "far" / "plain.tif", Affine.identity(), None)
    written(tmp_path / "far" / "broken.tif", "no raster")
    written(tmp_path / "labels" / "a.geojson", collection((in_degrees(HOUSE), {"class": "house"})))
    export = vectors.read(Source(tmp_path / "labels", images=tmp_path / "far"))
    assert [(each.name, each.split, each.labels is None) for each in export.pictures] == [
        ("train/here", "train", False),
        ("val/away", "val", True),
    ]
    text = " ".join(export.notes)
    assert "Pictures that cannot be read, left out: 1; the first is broken.tif" in text
    assert "Pictures without a georeference, left out: 1; the first is plain.tif." in text
    assert "Rasters that no polygon touches, taken as not labelled: 1; the first is val/away.tif." in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"type": "FeatureCollection"}, "has no list 'features'"),
        (collection((HOUSE, {}), crs="EPSG:99999999"), "coordinate system 'EPSG:99999999'"),
        (collection(({"type": "Polygon"}, {})), "geometry of feature 0 of a.geojson is not as GeoJSON's"),
        (collection(({"type": "Polygon", "coordinates": [[["a", 1]]]}, {})), "is not as GeoJSON's"),
        (
            collection(({"type": "Polygon", "coordinates": [[[0, 0], [1, float("nan")], [1, 0], [0, 0]]]}, {})),
            "no number",
        ),
        (
            collection(({"type": "Point", "coordinates": [9, 50]}, {})),
            "no GeoJSON, GeoPackage or shapefile with polygons",
        ),
        (
            collection(({"type": "Polygon", "coordinates": [[[9, 50], [9, 51], [9, 50]]]}, {})),
            "shapefile with polygons",
        ),
        ({"type": "FeatureCollection", "features": [3]}, "feature 0 of a.geojson is '3'"),
    ],
)
def test_what_is_not_as_geojson_says(folder: Path, content: Any, words: str) -> None:
    written(folder / "a.geojson", content)
    with pytest.raises(SourceError, match=words):
        vectors.read(Source(folder))


@pytest.mark.parametrize(
    "name", ["crs.txt", "http://127.0.0.1/crs", "+proj=utm +nadgrids=a.gsb", "[[1]]", "\ud800", "EPSG:1"]
)
def test_a_coordinate_system_is_no_file_and_no_address(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written(folder / "crs.txt", UTM.to_wkt()).parent)
    written(folder / "a.geojson", collection((HOUSE, {}), crs=name))
    with pytest.raises(SourceError, match=r"a\.geojson has the coordinate system .*, which is not known"):
        vectors.read(Source(folder))


def test_json_that_is_nested_without_an_end(folder: Path) -> None:
    written(folder / "a.geojson", "[" * 200_000)
    with pytest.raises(SourceError, match=r"a\.geojson is no JSON"):
        vectors.read(Source(folder))
