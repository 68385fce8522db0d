"""Whatever is in a folder, the rest of it is done, and what is odd is done or named."""

import csv
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rich.console import Console

from internvl_seg.data.folder_lock import FolderInUseError
from internvl_seg.inference import Segmenter, files
from internvl_seg.inference.files import Report, segment_files
from internvl_seg.inference.pictures import PictureError, check_file
from internvl_seg.inference.rasters import RasterError, RasterReader
from internvl_seg.inference.results import ResultsFolder
from internvl_seg.inference.run_folder import ResultsError
from internvl_seg.inference.videos import VideoError, VideoReader

from ..error_table import DocumentedError
from .conftest import picture
from .test_rasters import UTM, write_tif
from .test_videos import write_video


def save(path: Path, height: int = 30, width: int = 44, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(height, width)).save(path, **options)
    return path


def segment(segmenter: Segmenter, inputs: list[Path], out: Path, resume: bool = False, **options: Any) -> Report:
    results = ResultsFolder(out, segmenter.classes, segmenter.palette, {"model": 1}, ["model"], resume)
    return segment_files(segmenter, inputs, results, console=Console(quiet=True), **options)


ODD_NAMES = [
    "two\nlines.png",
    os.fsdecode(b"bad\xff.png"),
    "[red]a[.png",
    "=1+1.png",
    "%s{x}.png",
    "a\x1b.png",
]


def test_odd_names_are_done_and_known_again(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    long = "日" * 83 + ".png"  # 253 bytes; with another suffix it would be too long.
    inputs = [save(Path(name)) for name in [*ODD_NAMES, long, long.replace(".png", ".bmp")]]
    report = segment(segmenter, inputs, Path("out"))
    assert (report.written, report.failures) == (8, [])
    labels = [path for path in Path("out/labels").iterdir() if path.is_file()]
    assert len(labels) == 8
    table = Path("out/areas.csv").read_text()
    with Path("out/areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    named = ["two\nlines.png", "bad%FF.png", "[red]a[.png", "'=1+1.png", "%s{x}.png", "a\x1b.png"]
    assert [row["file"] for row in rows[:6]] == named
    assert [row["output"] for row in rows[:6]] == [
        "two%0Alines",
        "bad%FF",
        "[red]a[",
        "'=1+1",
        "%s{x}",
        "a%1B",
    ]
    assert Path("out/contact_sheet.jpg").is_file()
    report = segment(segmenter, inputs, Path("out"), resume=True)
    assert (report.written, report.skipped) == (0, 8)
    assert Path("out/areas.csv").read_text() == table


def test_pictures_of_any_shape_are_done(segmenter: Segmenter, tmp_path: Path) -> None:
    shapes = [(1, 1), (1, 3000), (3000, 1), (2, 100_000), (100_000, 1)]
    inputs = [save(tmp_path / f"{height}x{width}.png", height, width) for height, width in shapes]
    report = segment(segmenter, inputs, tmp_path / "out")
    assert (report.written, report.failures) == (5, [])
    for path, (height, width) in zip(inputs, shapes, strict=True):
        assert Image.open(tmp_path / "out/labels" / path.name).size == (width, height)


def test_what_a_pipeline_raises_is_the_pictures_error(segmenter: Segmenter, tmp_path: Path) -> None:
    pipeline = [{"type": "Resize", "scale": (24, 16), "keep_ratio": True}, {"type": "PackSegInputs"}]
    narrow = Segmenter(segmenter.model, pipeline, segmenter.classes, segmenter.palette)
    inputs = [
        save(tmp_path / name, *size) for name, size in (("0.png", (30, 44)), ("1.png", (9000, 1)), ("2.png", (9, 9)))
    ]
    report = segment(narrow, inputs, tmp_path / "out")
    assert report.written == 2
    ((file, reason),) = report.failures
    assert file == inputs[1]
    assert reason.startswith(f"{file} cannot be done: error: OpenCV")
    assert "\n" not in reason


def test_what_is_no_file_is_told(tmp_path: Path, documented_error: DocumentedError, segmenter: Segmenter) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    os.symlink("gone", tmp_path / "link.png")
    for name, case in (
        ("pipe.png", "a picture to segment is a pipe"),
        ("empty.png", "a picture to segment has no bytes"),
        ("link.png", "a picture to segment is a link to nothing"),
    ):
        with documented_error(case, PictureError):
            check_file(tmp_path / name)
    inputs = [tmp_path / name for name in ("pipe.png", "empty.png", "link.png", "removed.mp4")]
    report = segment(segmenter, [*inputs, save(tmp_path / "z.png")], tmp_path / "out")
    assert [file for file, _ in report.failures] == inputs
    assert report.written == 1


def test_out_of_memory_halves_the_windows(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", 16, 24)
    segmenter.model.test_cfg = {"mode": "slide", "crop_size": (8, 8), "stride": (4, 4), "window_batch": 12}
    want = segmenter(path).labels
    limit, sizes = 3, []
    original = segmenter.model._look_at

    def look(images: torch.Tensor) -> Any:
        sizes.append(len(images))
        if len(images) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(images)

    monkeypatch.setattr(segmenter.model, "_look_at", look)
    report = segment(segmenter, [path], tmp_path / "out")
    assert (report.written, report.failures) == (1, [])
    assert sizes[0] > 6
    assert segmenter.model.test_cfg["window_batch"] == 3
    assert (np.asarray(Image.open(tmp_path / "out/labels/a.png")) == want).all()
    limit = 0
    report = segment(segmenter, [path, save(tmp_path / "b.png")], tmp_path / "out")
    assert [reason for _, reason in report.failures] == [
        f"{tmp_path / name} does not fit into memory, with one window at a time, either." for name in ("a.png", "b.png")
    ]


@pytest.mark.parametrize(
    "error", [torch.AcceleratorError("CUDA error: device-side assert triggered"), FolderInUseError("x")]
)
def test_what_concerns_all_files_ends_the_run(
    error: Exception, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(files, "_segment", fail)
    with pytest.raises(type(error)):
        segment(segmenter, [save(tmp_path / "a.png")], tmp_path / "out")


@pytest.mark.parametrize("less", [40, 500, 1500])
def test_a_full_disk_ends_the_run_and_leaves_nothing_half(less: int, segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inputs = [save(tmp_path / f"{i}.png", 200, 300) for i in range(2)]
    segment(segmenter, inputs[:1], tmp_path / "room")
    size = (tmp_path / "room/overlays/0.jpg").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - less, before[1]))
    try:
        with pytest.raises(ResultsError, match=r"cannot be written to any more: File too large.*--resume"):
            segment(segmenter, inputs, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len((out / "areas.csv").read_text().splitlines()) == 1
    assert not list((out / "overlays").iterdir())
    assert segment(segmenter, inputs, out, resume=True).written == 2
    for path in (out / "overlays").iterdir():
        Image.open(path).load()


def test_a_full_disk_for_a_raster_ends_the_run(segmenter: Segmenter, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 200, 200), np.uint8)
    path = write_tif(tmp_path / "map.tif", noise, **UTM)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(ResultsError, match="File too large"):
            segment(segmenter, [path], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in (tmp_path / "out/labels").iterdir()] == []


def test_of_several_pages_one_is_taken_and_that_is_told(segmenter: Segmenter, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pages = [Image.fromarray(picture(30, 44, seed)) for seed in range(3)]
    for kind in ("gif", "tif", "png", "webp", "mpo"):
        pages[0].save(folder / f"a.{kind}", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "a.ico", sizes=[(8, 8), (16, 16)])
    pages[0].save(folder / "one.tif")
    inputs = sorted(folder.iterdir())
    with rasterio.open(write_tif(tmp_path / "overviews.tif", picture(600, 600).transpose(2, 0, 1)), "r+") as raster:
        raster.build_overviews([2, 4])
    inputs.append(tmp_path / "overviews.tif")
    report = segment(segmenter, inputs, tmp_path / "out")
    assert report.failures == []
    found = {path.name: count for path, count in report.pages}
    assert found == {"a.gif": 3, "a.tif": 3, "a.png": 3, "a.webp": 3, "a.mpo": 3, "a.ico": 2}


def vrt(source: str, more: str = "<SimpleSource>") -> str:
    band = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}">{more}<SourceFilename relativeToVRT="0">{source}</SourceFilename>'
        f"<SourceBand>{i}</SourceBand></SimpleSource></VRTRasterBand>"
        for i in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="44" rasterYSize="30">{band}</VRTDataset>'


def test_rasters_that_refer_to_others_are_refused(
    segmenter: Segmenter, tmp_path: Path, documented_error: DocumentedError
) -> None:
    (tmp_path / "elsewhere").mkdir()
    secret = write_tif(tmp_path / "elsewhere/secret.tif", picture(30, 44).transpose(2, 0, 1))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.vrt").write_text(vrt(os.fspath(secret)))
    (tmp_path / "in/b.tif").write_text("\ufeff \n" + vrt(os.fspath(secret)))
    (tmp_path / "in/c.tif").write_text(
        "<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>"
    )
    (tmp_path / "in/d.tif").write_text('{"stac_version": "1.0.0", "type": "Feature"}')
    with rasterio.open(write_tif(tmp_path / "in/e.tif", picture(30, 44).transpose(2, 0, 1), **UTM), "r+") as raster:
        raster.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=os.fspath(secret))
    inputs = sorted((tmp_path / "in").iterdir())
    report = segment(segmenter, inputs, tmp_path / "out")
    assert [file for file, _ in report.failures] == inputs
    assert all("--allow-references" in reason for _, reason in report.failures)
    for name, case in (
        ("a.vrt", "a raster is a list of other files"),
        ("e.tif", "a raster has its overviews elsewhere"),
    ):
        with documented_error(case, RasterError):
            RasterReader(tmp_path / "in" / name)
    report = segment(segmenter, inputs[:2], tmp_path / "out", allow_references=True)
    assert (report.written, report.failures) == (2, [])


def test_a_raster_runs_no_code(segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    source = write_tif(tmp_path / "a.tif", picture(30, 44).transpose(2, 0, 1))
    code = (
        "<PixelFunctionType>run</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[def run(*_, **__): open({os.fspath(tmp_path / 'ran')!r}, 'w')]]>"
        "</PixelFunctionCode>"
        "<SimpleSource>"
    )
    (tmp_path / "a.vrt").write_text(
        vrt(os.fspath(source), code).replace("<VRTRasterBand", '<VRTRasterBand subClass="VRTDerivedRasterBand"')
    )
    report = segment(segmenter, [tmp_path / "a.vrt"], tmp_path / "out", allow_references=True)
    assert len(report.failures) == 1
    assert not (tmp_path / "ran").exists()


def test_a_video_reads_no_other_file(tmp_path: Path) -> None:
    source = write_video(tmp_path / "whole.mp4")
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{source}\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.avi").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    for name in ("list.mp4", "concat.avi"):
        with pytest.raises(VideoError, match="is damaged, or no video"):
            VideoReader(tmp_path / name)
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ


def test_postscript_is_not_run(segmenter: Segmenter, tmp_path: Path) -> None:
    Image.fromarray(picture(30, 44)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    report = segment(segmenter, [tmp_path / "a.png"], tmp_path / "out")
    ((_, reason),) = report.failures
    assert reason.endswith("a.png is no picture in a format that Pillow knows.")


def test_a_block_that_would_fill_memory_is_told(tmp_path: Path, documented_error: DocumentedError) -> None:
    shape = {"driver": "GTiff", "height": 29_696, "width": 29_696, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        **shape,
        tiled=True,
        blockxsize=29_696,
        blockysize=29_696,
        interleave="pixel",
        sparse_ok=True,
    ):
        pass
    with documented_error("a raster is stored in one block", RasterError):
        RasterReader(tmp_path / "a.tif")
