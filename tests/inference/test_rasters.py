"""Rasters, read and written in parts."""

import resource
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.rpc import RPC
from rasterio.transform import from_origin

from internvl_seg.inference import raster_rows
from internvl_seg.inference.rasters import LabelWriter, RasterError, RasterReader

from .conftest import picture

PALETTE = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [10, 20, 30]]
UTM = {"crs": CRS.from_epsg(32633), "transform": from_origin(500000.123, 4649776.7, 0.3, 0.7)}
BLOCKS = {"tiled": True, "blockxsize": 16, "blockysize": 16}
RANDOM = np.random.default_rng(0)


def write_tif(path: Path, bands: np.ndarray, **profile: Any) -> Path:
    """Write (bands, H, W)."""
    path.unlink(missing_ok=True)
    count, height, width = bands.shape
    shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as file:
            file.write(bands)
    return path


def write_rgb(path: Path, image: np.ndarray, **profile: Any) -> Path:
    return write_tif(path, image.transpose(2, 0, 1), **profile)


def write_labels(path: Path, source: Path, labels: np.ndarray, num_classes: int = 4) -> LabelWriter:
    with RasterReader(source) as raster, LabelWriter(path, raster, num_classes, PALETTE) as writer:
        writer.write(0, labels)
    return writer


def read_labels(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            return file.read(1)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([{}, BLOCKS]), st.sampled_from([1, 2000]), st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_the_pictures(
    tmp_path: Path, height: int, width: int, blocks: dict[str, Any], piece: int, data: st.DataObject
) -> None:
    image = picture(height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raster_rows, "_PIECE", piece)
        with RasterReader(write_rgb(tmp_path / "a.tif", image, **blocks)) as raster:
            assert (raster.height, raster.width, raster.georeferenced) == (height, width, False)
            for _ in range(4):
                start = data.draw(st.integers(0, height - 1))
                stop = data.draw(st.integers(start + 1, height))
                assert np.array_equal(raster.rows(start, stop), image[start:stop])


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("piece", [1, 1500, 1 << 24])
def test_every_pixel_is_decoded_once(kind: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(100, 50)
    path = tmp_path / f"a.{kind}"
    Image.fromarray(image).save(path) if kind == "png" else write_rgb(path, image, **BLOCKS)
    times, reads = np.zeros((100, 50), int), []
    original = DatasetReader.read

    def counted(self: DatasetReader, bands: Any, window: Any, **options: Any) -> np.ndarray:
        rows, columns = window.toslices()
        times[rows, columns] += 1
        reads.append(rows)
        # A block that is begun is decoded as a whole, and once if it is read as a whole.
        if kind == "tif":
            assert (rows.start % 16, columns.start % 16) == (0, 0)
            assert (rows.stop % 16, columns.stop % 16) in ((0, 0), (4, 0), (0, 2), (4, 2))
        return original(self, bands, window=window, **options)

    monkeypatch.setattr(DatasetReader, "read", counted)
    monkeypatch.setattr(raster_rows, "_PIECE", piece)
    with RasterReader(path) as raster:
        for start in range(0, 81, 20):
            assert np.array_equal(raster.rows(start, min(start + 35, 100)), image[start : start + 35])
        assert (times == 1).all()
        assert piece < 1 << 24 or len(reads) <= 5
        # Above, and from the middle of a block on.
        for start in (5, 90, 25):
            assert np.array_equal(raster.rows(start, start + 9), image[start : start + 9])


def test_gdal_keeps_blocks_of_64_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of bytes, a cache of 64 would hold no block, and each was decoded anew for every line.
    sizes: list[int] = []
    original = DatasetReader.read

    def noted(self: DatasetReader, *args: Any, **options: Any) -> np.ndarray:
        sizes.append(rasterio.env.get_gdal_config("GDAL_CACHEMAX"))
        return original(self, *args, **options)

    monkeypatch.setattr(DatasetReader, "read", noted)
    with RasterReader(write_rgb(tmp_path / "a.tif", picture(9, 8))) as raster:
        raster.rows(0, 9)
    assert sizes == [64 * 2**20]


def test_rows_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with RasterReader(write_rgb(tmp_path / "a.tif", picture(9, 8))) as raster:
        for start, stop in ((-1, 3), (4, 10), (4, 4)):
            with pytest.raises(ValueError, match=f"Rows {start} to {stop} were asked for; the raster has 9"):
                raster.rows(start, stop)


def test_grey_colour_tables_and_more_bands_become_rgb(tmp_path: Path) -> None:
    image, ids = picture(9, 8), np.arange(72, dtype=np.uint8).reshape(9, 8) % 4
    table = Image.fromarray(ids)
    table.putpalette([channel for colour in PALETTE for channel in colour])
    table.save(tmp_path / "table.png")
    for name in ("two.png", "two.tif"):
        Image.fromarray(ids > 1).save(tmp_path / name)
    bands = image.transpose(2, 0, 1)
    grey = image[..., :1].repeat(3, axis=2)
    for path, want in (
        (write_tif(tmp_path / "grey.tif", bands[:1]), grey),
        (write_tif(tmp_path / "grey_alpha.tif", bands[:2]), grey),
        (write_tif(tmp_path / "four.tif", np.concatenate([bands, bands[:1]])), image),
        (tmp_path / "table.png", np.array(PALETTE)[ids]),
        (tmp_path / "two.png", (ids > 1)[..., None].repeat(3, axis=2) * 255),
        (tmp_path / "two.tif", (ids > 1)[..., None].repeat(3, axis=2) * 255),
    ):
        with RasterReader(path) as raster:
            rows = raster.rows(0, 9)
        assert rows.dtype == np.uint8
        assert np.array_equal(rows, want), path


def test_a_preview_is_the_picture_made_small(tmp_path: Path) -> None:
    image = RANDOM.integers(0, 256, (80, 120, 3), np.uint8)
    with RasterReader(write_rgb(tmp_path / "a.tif", image)) as raster:
        small = raster.preview(30)
        assert np.array_equal(raster.preview(500), image)
    assert small.shape == (20, 30, 3)
    assert abs(small - image.reshape(20, 4, 30, 4, 3).mean((1, 3))).max() <= 1
    with RasterReader(write_rgb(tmp_path / "thin.tif", picture(1, 90))) as raster:
        assert raster.preview(30).shape == (1, 30, 3)


def test_a_preview_has_no_colours_that_are_not_in_the_table(tmp_path: Path) -> None:
    table = Image.fromarray(RANDOM.integers(0, 4, (80, 80), np.uint8))
    table.putpalette([channel for colour in PALETTE for channel in colour])
    table.save(tmp_path / "table.png")
    with RasterReader(tmp_path / "table.png") as raster:
        assert np.unique(raster.preview(20).reshape(-1, 3), axis=0).tolist() == sorted(PALETTE)


def test_pixels_without_data_are_told(tmp_path: Path) -> None:
    image = picture(40, 30).clip(1)
    outside = np.zeros((40, 30), bool)
    outside[:17, :9] = outside[30:, 20:] = True
    image[outside] = 0
    image[20, 20] = (0, 5, 0)
    alpha = np.where(outside, 0, 255).astype(np.uint8)[..., None]
    Image.fromarray(np.concatenate([image, alpha], axis=2)).save(tmp_path / "alpha.png")
    for path in (write_rgb(tmp_path / "a.tif", image, nodata=0, **UTM, **BLOCKS), tmp_path / "alpha.png"):
        with RasterReader(path) as raster:
            assert raster.masked
            parts = [raster.valid_rows(start, min(start + 7, 40)) for start in range(0, 40, 7)]
            assert np.array_equal(np.concatenate(parts), ~outside)
            assert np.array_equal(raster.rows(0, 40), image)
    assert write_labels(tmp_path / "out.tif", tmp_path / "a.tif", np.zeros((40, 30), np.uint8)).ignored == 255
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.nodata == 255
    # With one more id than fits into 8 bits, the classes and the pixels outside are still told apart.
    writer = write_labels(tmp_path / "out.tif", tmp_path / "a.tif", np.zeros((40, 30), np.uint8), 256)
    assert (writer.ignored, read_labels(tmp_path / "out.tif").dtype) == (65535, np.uint16)
    with RasterReader(write_rgb(tmp_path / "b.tif", image)) as raster:
        assert not raster.masked
        assert raster.valid_rows(0, 40) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text.tif", "text.tif cannot be read as a raster: .*not recognized"),
        ("none.tif", "none.tif cannot be read as a raster: .*No such file"),
        ("bare.vrt", "bare.vrt holds no pixels but text that may name other files.*--allow-references"),
        ("deep.tif", "deep.tif is uint16; a picture has 8 bits a channel.*gdal_translate -ot Byte -scale"),
    ],
)
def test_what_is_no_rgb_raster_is_told(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    (tmp_path / "bare.vrt").write_text('<VRTDataset rasterXSize="4" rasterYSize="4"></VRTDataset>')
    write_tif(tmp_path / "deep.tif", np.zeros((3, 4, 4), np.uint16))
    with pytest.raises(RasterError, match=message):
        RasterReader(tmp_path / name)


@pytest.mark.parametrize("step", [50, 200])
@pytest.mark.parametrize("kind", ["pillow.tif", "blocks.tif", "a.png", "a.jpg"])
def test_a_raster_cut_short_is_told(kind: str, step: int, tmp_path: Path) -> None:
    noise = RANDOM.integers(0, 256, (200, 200, 3), np.uint8)
    whole = tmp_path / kind
    # The directory comes first, so that the cut is seen only when the blocks are read.
    write_rgb(whole, noise, **BLOCKS) if kind == "blocks.tif" else Image.fromarray(noise).save(whole)
    cut = tmp_path / f"cut_{kind}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])

    def read() -> None:
        with RasterReader(cut) as raster:
            for start in range(0, 200, step):
                raster.rows(start, start + step)

    with pytest.raises(RasterError, match=rf"cut_{kind} (is damaged at row \d+ or below|cannot be read)") as told:
        read()
    assert "See previous exception" not in str(told.value)
    with pytest.raises(RasterError, match=rf"cut_{kind} (is damaged|cannot be read)"), RasterReader(cut) as raster:
        raster.preview(100)


@given(st.sampled_from([1, 255, 256, 257, 512, 600]), st.integers(1, 300), st.sampled_from([2, 256, 257]), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_written_in_bands_are_the_whole(
    tmp_path: Path, height: int, width: int, classes: int, data: st.DataObject
) -> None:
    labels = RANDOM.integers(0, classes, (height, width)).astype(np.uint8 if classes <= 256 else np.uint16)
    source = write_tif(tmp_path / "a.tif", np.zeros((3, height, width), np.uint8))
    with RasterReader(source) as raster, LabelWriter(tmp_path / "out.tif", raster, classes, PALETTE) as writer:
        start = 0
        while start < height:
            stop = min(start + data.draw(st.integers(1, 600)), height)
            # The caller may use its array again.
            band = labels[start:stop].copy()
            writer.write(start, band)
            band[:] = 1
            start = stop
    got = read_labels(tmp_path / "out.tif")
    assert got.dtype == labels.dtype == writer.dtype
    assert np.array_equal(got, labels)


def test_place_and_colours_are_kept(tmp_path: Path) -> None:
    source = write_rgb(tmp_path / "a.tif", picture(300, 400), **UTM)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_labels(tmp_path / "deep/out.tif", source, np.zeros((300, 400), np.uint8))
    with rasterio.open(tmp_path / "deep/out.tif") as file:
        assert (file.crs, file.transform) == (UTM["crs"], UTM["transform"])
        assert (file.nodata, file.colormap(1)[3]) == (None, (10, 20, 30, 255))
        assert (file.block_shapes, file.profile["compress"]) == ([(256, 256)], "deflate")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out.tif"]


def test_without_a_place_none_is_written_and_nobody_is_warned(tmp_path: Path) -> None:
    source = write_rgb(tmp_path / "a.tif", picture(20, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_labels(tmp_path / "out.tif", source, np.zeros((20, 30), np.uint8))
        with RasterReader(tmp_path / "out.tif") as raster:
            assert not raster.georeferenced


def test_control_points_and_sensor_models_are_kept(tmp_path: Path) -> None:
    points = [GroundControlPoint(row, col, col * 2.0, row * 3.0) for row, col in ((0, 0), (0, 9), (9, 0), (9, 9))]
    ones = dict.fromkeys(("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff"), [1.0] * 20)
    sides = ("height", "lat", "line", "long", "samp")
    scales = {f"{side}_{part}": i + 0.5 for i, side in enumerate(sides) for part in ("off", "scale")}
    model = RPC(**ones, **scales, err_bias=None, err_rand=None)
    for name, place in (("points.tif", {"gcps": points, "crs": UTM["crs"]}), ("model.tif", {"rpcs": model})):
        source = write_rgb(tmp_path / name, picture(10, 10), **place)
        with RasterReader(source) as raster:
            assert raster.georeferenced
        write_labels(tmp_path / f"out_{name}", source, np.zeros((10, 10), np.uint8))
    with rasterio.open(tmp_path / "out_points.tif") as file:
        found, crs = file.gcps
    assert crs == UTM["crs"]
    assert [(p.row, p.col, p.x, p.y) for p in found] == [(p.row, p.col, p.x, p.y) for p in points]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(tmp_path / "out_model.tif") as file, rasterio.open(tmp_path / "model.tif") as source_file:
            assert file.rpcs is not None
            assert file.rpcs == source_file.rpcs


def test_a_run_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    source = write_rgb(tmp_path / "a.tif", picture(300, 40))

    def write() -> None:
        with RasterReader(source) as raster, LabelWriter(tmp_path / "out.tif", raster, 4, PALETTE) as writer:
            writer.write(0, np.zeros((270, 40), np.uint8))
            assert not (tmp_path / "out.tif").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_a_full_disk_is_told_and_leaves_nothing(share: float, tmp_path: Path) -> None:
    labels = RANDOM.integers(0, 4, (300, 300), np.uint8)
    source = write_rgb(tmp_path / "a.tif", picture(300, 300))
    write_labels(tmp_path / "out.tif", source, labels)
    size = (tmp_path / "out.tif").stat().st_size
    (tmp_path / "out.tif").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), before[1]))
    try:
        with pytest.raises(RasterError, match=r"out\.tif cannot be written"):
            write_labels(tmp_path / "out.tif", source, labels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    ("start", "labels", "error", "message"),
    [
        (
            20,
            np.zeros((10, 40), np.uint8),
            ValueError,
            r"\(10, 40\) were given from row 20 on, but 10 is the next of 30",
        ),
        (
            10,
            np.zeros((21, 40), np.uint8),
            ValueError,
            r"\(21, 40\) were given from row 10 on, but 10 is the next of 30",
        ),
        (10, np.zeros((20, 39), np.uint8), ValueError, r"\(20, 39\) .* of 40 pixels each"),
        (10, np.zeros((20, 40), np.uint16), TypeError, "uint16.*uint8"),
        (10, np.zeros((10, 40), np.uint8), ValueError, r"out\.tif: only 20 of 30 rows were written"),
    ],
)
def test_labels_that_do_not_fit_are_told(
    start: int, labels: np.ndarray, error: type[Exception], message: str, tmp_path: Path
) -> None:
    source = write_rgb(tmp_path / "a.tif", picture(30, 40))

    def write() -> None:
        with RasterReader(source) as raster, LabelWriter(tmp_path / "out.tif", raster, 4, PALETTE) as writer:
            writer.write(0, np.zeros((10, 40), np.uint8))
            writer.write(start, labels)

    with pytest.raises(error, match=message):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_labels_of_more_than_4_gb_fit_into_their_file(tmp_path: Path) -> None:
    with RasterReader(write_rgb(tmp_path / "a.tif", picture(9, 8))) as raster:
        raster.height = raster.width = 70_000
        writer = LabelWriter(tmp_path / "out.tif", raster, 4, PALETTE)
        magic = []

        def begin() -> None:
            with writer:
                (path,) = tmp_path.glob(".*.tif")
                writer._data.close()
                with path.open("rb") as file:
                    magic.append(file.read(4))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            begin()
    assert magic == [b"II\x2b\0"]  # BigTIFF.


def test_every_block_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_rgb(tmp_path / "a.tif", picture(257, 40))
    seen: list[tuple[int, int]] = []
    original = DatasetReader.read

    def noted(self: DatasetReader, *bands: Any, window: Any, **options: Any) -> np.ndarray:
        seen.append((window.row_off, window.row_off + window.height))
        return original(self, *bands, window=window, **options)

    monkeypatch.setattr(DatasetReader, "read", noted)
    write_labels(tmp_path / "out.tif", source, np.zeros((257, 40), np.uint8))
    assert seen == [(0, 256), (256, 257)]
