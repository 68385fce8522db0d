"""Files of every kind, readable or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rich.console import Console

from internvl_seg.inference import Segmenter, files
from internvl_seg.inference.files import Report, segment_files
from internvl_seg.inference.results import ResultsFolder
from internvl_seg.inference.videos import VideoReader, VideoWriter
from internvl_seg.visualization.overlay import draw_overlay

from .conftest import picture
from .test_rasters import UTM, write_tif

BROKEN = ["cut.jpg", "part.tif", "text.png", "words.mp4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture of every kind, and some that are broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(picture(30, 44)).save(folder / "photo.jpg", quality=95)
    Image.fromarray(picture(70, 90, 1)).save(folder / "large.png")
    write_tif(folder / "map.tif", picture(40, 33, 2).transpose(2, 0, 1), **UTM)
    write_tif(folder / "plain.tif", picture(20, 28, 3).transpose(2, 0, 1))
    with VideoWriter(folder / "clip.mp4", 10, 32, 48) as video:
        for seed in range(3):
            video.write(picture(32, 48, seed))
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    for name in ("cut.jpg", "part.tif"):
        Image.fromarray(noise).save(folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    for name in ("text.png", "words.mp4"):
        (folder / name).write_text("no picture")
    return folder


def open_results(out: Path, segmenter: Segmenter, resume: bool = False) -> ResultsFolder:
    return ResultsFolder(out, segmenter.classes, segmenter.palette, {"model": 1}, ["model"], resume)


def segment(segmenter: Segmenter, folder: Path, out: Path, resume: bool = False) -> Report:
    inputs = sorted(folder.iterdir())
    results = open_results(out, segmenter, resume)
    return segment_files(segmenter, inputs, results, raster_pixels=5000, console=Console(quiet=True))


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_everything_readable_is_written_and_the_rest_is_named(
    segmenter: Segmenter, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = segment(segmenter, folder, out)
    assert [path.name for path, _ in report.failures] == BROKEN
    assert all(str(path) in reason for path, reason in report.failures)
    assert (report.written, report.skipped) == (5, 0)
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert written == [
        "areas.csv",
        "contact_sheet.jpg",
        "frames/clip/000001.png",
        "frames/clip/000002.png",
        "frames/clip/000003.png",
        "labels/large.tif",
        "labels/map.tif",
        "labels/photo.png",
        "labels/plain.png",
        "overlays/clip.jpg",
        "overlays/clip.mp4",
        "overlays/large.jpg",
        "overlays/map.jpg",
        "overlays/photo.jpg",
        "overlays/plain.jpg",
        "run.json",
    ]
    assert (read(out / "labels/photo.png") == segmenter(folder / "photo.jpg").labels).all()
    assert (read(out / "labels/plain.png") == segmenter(folder / "plain.tif").labels).all()
    with VideoReader(folder / "clip.mp4") as video:
        for number, frame in enumerate(video, start=1):
            assert (read(out / f"frames/clip/{number:06d}.png") == segmenter(frame).labels).all()
    with VideoReader(out / "overlays/clip.mp4") as video:
        assert (video.frames, video.height, video.width) == (3, 32, 48)


def test_rasters_are_read_at_their_resolution_and_stay_in_their_place(
    segmenter: Segmenter, folder: Path, tmp_path: Path
) -> None:
    segment(segmenter, folder, tmp_path / "out")
    image = picture(40, 33, 2)
    want = np.concatenate([band for _, band in segmenter.bands((40, 33), lambda a, b: image[a:b])])
    with rasterio.open(tmp_path / "out/labels/map.tif") as file:
        assert (file.read(1) == want).all()
        assert (file.crs, file.transform) == (UTM["crs"], UTM["transform"])
    assert (want != segmenter(image).labels).any()  # The pipeline resizes.
    lines = (tmp_path / "out/areas.csv").read_text().splitlines()
    (row,) = [line.split(",") for line in lines if "map.tif" in line]
    assert [int(area) for area in row[5:]] == [int((want == i).sum()) for i in range(4)]


def test_pixels_that_are_no_part_of_a_raster_have_no_class(segmenter: Segmenter, tmp_path: Path) -> None:
    image = picture(40, 33, 2)
    image[image == 0] = 1
    image[:, 20:] = 0
    (tmp_path / "in").mkdir()
    write_tif(tmp_path / "in/map.tif", image.transpose(2, 0, 1), nodata=0, **UTM)
    segment(segmenter, tmp_path / "in", tmp_path / "out")
    want = np.concatenate([band for _, band in segmenter.bands((40, 33), lambda a, b: image[a:b])])
    with rasterio.open(tmp_path / "out/labels/map.tif") as file:
        labels = file.read(1)
        assert file.nodata == 255
    assert (labels[:, :20] == want[:, :20]).all()
    assert (labels[:, 20:] == 255).all()
    row = (tmp_path / "out/areas.csv").read_text().splitlines()[1].split(",")
    assert sum(map(int, row[5:])) == 40 * 20


def test_a_killed_run_goes_on(
    segmenter: Segmenter, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    segment(segmenter, folder, whole)
    original = files._segment
    done: list[str] = []

    def interrupted(segmenter: Segmenter, file: Path, *rest: Any) -> None:
        if file.name == "photo.jpg":
            raise KeyboardInterrupt
        original(segmenter, file, *rest)

    monkeypatch.setattr(files, "_segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        segment(segmenter, folder, out)
    monkeypatch.setattr(files, "_segment", lambda *rest: (done.append(rest[1].name), original(*rest)))
    report = segment(segmenter, folder, out, resume=True)
    assert (report.written, report.skipped) == (2, 3)
    assert done == ["cut.jpg", "part.tif", "photo.jpg", "plain.tif", "text.png", "words.mp4"]
    for path in whole.rglob("*"):
        if path.is_file():
            assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes(), path


def test_equal_stems_do_not_overwrite_each_other(segmenter: Segmenter, tmp_path: Path) -> None:
    for name, seed in (("a/x.png", 0), ("b/x.png", 1), ("b/x.jpg", 2)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture(30, 44, seed)).save(tmp_path / name)
    inputs = [tmp_path / name for name in ("a/x.png", "b/x.png", "b/x.jpg")]
    segment_files(segmenter, inputs, open_results(tmp_path / "out", segmenter), console=Console(quiet=True))
    labels = {path.relative_to(tmp_path / "out/labels").as_posix() for path in (tmp_path / "out/labels").rglob("*.png")}
    assert labels == {"a/x.png", "b/x.png.png", "b/x.jpg.png"}
    assert (read(tmp_path / "out/labels/a/x.png") == segmenter(inputs[0]).labels).all()


def test_a_new_file_of_an_equal_stem_changes_nothing_of_what_is_done(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(picture(30, 44, number)).save(tmp_path / f"in/m{number}.png")
    out = tmp_path / "out"
    segment(segmenter, tmp_path / "in", out)
    before = {path: path.read_bytes() for path in out.glob("*/*") if path.is_file()}
    areas = (out / "areas.csv").read_text()
    Image.fromarray(picture(30, 44, 9)).save(tmp_path / "in/m0.jpg")
    report = segment(segmenter, tmp_path / "in", out, resume=True)
    assert (report.written, report.skipped) == (1, 3)
    rows = (out / "areas.csv").read_text()
    assert rows.startswith(areas)
    assert [line.split(",")[1] for line in rows.splitlines()] == ["output", "m0", "m1", "m2", "m0.jpg"]
    assert sorted(path.name for path in (out / "labels").iterdir()) == ["m0.jpg.png", "m0.png", "m1.png", "m2.png"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert segment(segmenter, tmp_path / "in", out, resume=True).skipped == 4


def close_to(found: np.ndarray, want: np.ndarray) -> float:
    return float(abs(found.astype(int) - want).mean())


def test_overlays_are_the_pictures_with_their_labels(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter.classes[0] = "ground"  # A background would not be painted.
    shown: list[float] = []
    original = files.draw_labelled

    def noted(*arguments: Any) -> Any:
        shown.append(sum(arguments[4].values()))
        return original(*arguments)

    monkeypatch.setattr(files, "draw_labelled", noted)
    folder = tmp_path / "in"
    folder.mkdir()
    image, outside = picture(60, 320).clip(1), np.zeros((60, 320), bool)
    outside[:, 200:] = True
    hidden = np.where(outside[..., None], 0, image).astype(np.uint8)
    Image.fromarray(image).save(folder / "photo.png")
    write_tif(folder / "map.tif", hidden.transpose(2, 0, 1), nodata=0, **UTM)
    with VideoWriter(folder / "clip.mp4", 10, 60, 320) as video:
        for _ in range(2):
            video.write(image)
    results = open_results(tmp_path / "out", segmenter)
    segment_files(segmenter, sorted(folder.iterdir()), results, console=Console(quiet=True))
    assert shown == pytest.approx([1, 1, 1])

    labels = segmenter(image).labels
    whole = np.concatenate([band for _, band in segmenter.bands((60, 320), lambda a, b: hidden[a:b])])
    whole = np.where(outside, 255, whole)
    with VideoReader(folder / "clip.mp4") as video:
        frames = [(frame, segmenter(frame).labels) for frame in video]
    with VideoReader(tmp_path / "out/overlays/clip.mp4") as video:
        drawn = list(video)
    assert len(drawn) == 2
    cases = [
        (read(tmp_path / "out/overlays/photo.jpg")[:60], image, labels),
        (read(tmp_path / "out/overlays/map.jpg")[:60], hidden, whole),
        *((found, *rest) for found, rest in zip(drawn, frames, strict=True)),
    ]
    for found, plain, ids in cases:
        assert close_to(found, draw_overlay(plain, ids, segmenter.palette)) < 13
        assert close_to(found, plain) > 25


def test_what_pillow_cannot_read_is_a_raster_whatever_its_suffix_looks_like(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    bands = np.concatenate([picture(20, 28, 3), picture(20, 28, 4)], axis=2).transpose(2, 0, 1)
    write_tif(folder / "A.TIF", bands)
    report = segment(segmenter, folder, tmp_path / "out")
    assert (report.written, report.failures) == (1, [])
    assert (tmp_path / "out/labels/A.tif").is_file()
