"""Segmenting files of any kind, one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..common.ignored_warnings import ignoring_warnings
from ..data.band_pictures import draw_bands
from ..data.bands import BandReader
from ..data.confusion import IGNORED
from ..data.names import readable
from ..visualization.overlay import draw_labelled, draw_overlay
from .failures import give_memory_back, is_out_of_memory, reason
from .pictures import FORMATS, PictureError, check_file, count_pages, read_picture
from .rasters import RASTER_SUFFIXES, LabelWriter, RasterReader
from .results import ResultsFolder
from .segmenter import Segmenter
from .videos import VIDEO_SUFFIXES, VideoReader, VideoWriter

# 8192 x 8192: what is larger is read in parts.
RASTER_PIXELS = 1 << 26
_MAX_SIDE = 2048
Advance = Callable[[int, int], None]


@dataclass
class Report:
    """What became of the files.

    Attributes:
        written: How many were segmented.
        skipped: How many were done before.
        failures: Those that could not be read, and why.
        pages: Those of several pages or frames, and how many, of which the first was taken.
        guessed: Those of more than three bands, of which the first three were taken for red, green and blue.
        passed_over: Files in folders that have suffixes of no pictures and no videos.
    """

    written: int = 0
    skipped: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)
    pages: list[tuple[Path, int]] = field(default_factory=list)
    guessed: list[Path] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)

    def add(self, file: Path) -> None:
        """Count a file that was done."""
        self.written += 1
        if file.suffix.lower() not in VIDEO_SUFFIXES and (pages := count_pages(file)) > 1:
            self.pages.append((file, pages))


def segment_files(
    segmenter: Segmenter,
    files: Sequence[Path],
    results: ResultsFolder,
    *,
    raster_pixels: int = RASTER_PIXELS,
    allow_references: bool = False,
    console: Console | None = None,
    report: Report | None = None,
) -> Report:
    """Segment pictures, videos and rasters, and go on past those that cannot be read, whatever is raised.

    A raster is a georeferenced file, or one of more than ``raster_pixels``; it is read and written in parts, at its own
    resolution, where other pictures go through the config's test pipeline.

    Args:
        segmenter: The model.
        files: What to segment.
        results: Where to; files that are done there are left out.
        raster_pixels: Pixels from which a picture is read in parts.
        allow_references: Whether a raster may be of a format that reads its pixels from other files or the network.
        console: Where to show progress; the standard output if None.
        report: What to add to; a new one if None.

    Raises:
        ResultsError: Nothing more can be written.
    """
    report = report or Report()
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    outputs = results.names(files)
    with Progress(*columns, TextColumn("{task.fields[note]}", markup=False), console=console) as progress:
        whole = progress.add_task("files", total=len(files), note="")
        part = progress.add_task("", visible=False, note="")

        def advance(done: int, total: int) -> None:
            progress.update(part, completed=done, total=total, visible=True)

        for file, output in zip(files, outputs, strict=True):
            progress.update(whole, note=readable(file.name))
            if results.is_done(file):
                report.skipped += 1
            else:
                try:
                    if _segment_in_memory(segmenter, file, output, results, raster_pixels, allow_references, advance):
                        report.guessed.append(file)
                    report.add(file)
                except Exception as error:
                    report.failures.append((file, reason(error, file, results.folder)))
            progress.update(part, visible=False)
            progress.advance(whole)
    results.write_contact_sheets(outputs)
    return report


def _segment_in_memory(segmenter: Segmenter, file: Path, *rest: Any) -> bool:
    """Segment a file as :func:`_segment`, by fewer windows at once, from then on, if they do not fit into memory."""
    while True:
        try:
            return _segment(segmenter, file, *rest)
        except Exception as error:
            if not (is_out_of_memory(error) and segmenter.model.halve_window_batch()):
                raise
        give_memory_back()


def _segment(
    segmenter: Segmenter,
    file: Path,
    output: str,
    results: ResultsFolder,
    raster_pixels: int,
    allow_references: bool,
    advance: Advance,
) -> bool:
    """Segment a file of any kind; whether it was guessed which of its bands are red, green and blue."""
    check_file(file)
    reader = segmenter.reader
    if file.suffix.lower() in VIDEO_SUFFIXES:
        if reader is not None:
            raise PictureError(
                f"{readable(file)} is a video, but the model takes bands={list(reader.bands)} of pictures."
            )
        _segment_video(segmenter, file, output, results, advance)
    elif _is_raster(file, raster_pixels, allow_references, reader):
        return _segment_raster(segmenter, file, output, results, allow_references, advance)
    else:
        pixels = None if reader is None else reader.read_file(str(file))
        image = read_picture(file) if pixels is None else draw_bands(pixels)
        found = segmenter(image if pixels is None else pixels.values)
        results.write_labels(f"labels/{output}.png", found.labels)
        size = found.labels.shape
        shares = {name: area / found.labels.size for name, area in found.areas.items()}
        figure = draw_labelled(image, found.labels, segmenter.classes, segmenter.palette, shares, _MAX_SIDE)
        results.write_overlay(output, figure)
        results.add(file, output, [("", (size[0], size[1]), found.areas)])
    return False


def _is_raster(file: Path, raster_pixels: int, allow_references: bool, reader: BandReader | None) -> bool:
    """Whether a file is to be read in parts."""
    if reader is not None:
        with RasterReader(file, allow_references, reader) as raster:
            return raster.georeferenced or raster.height * raster.width > raster_pixels
    with ignoring_warnings(Image.DecompressionBombWarning):
        try:
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > raster_pixels:
                    return True
        except Image.DecompressionBombError:
            return True
        except Exception:  # Decoders raise what they like at damaged files.
            return file.suffix.lower() in RASTER_SUFFIXES
    if file.suffix.lower() not in RASTER_SUFFIXES:
        return False
    with RasterReader(file, allow_references) as raster:
        return raster.georeferenced


def _segment_raster(
    segmenter: Segmenter,
    file: Path,
    output: str,
    results: ResultsFolder,
    allow_references: bool,
    advance: Advance,
) -> bool:
    areas = dict.fromkeys(segmenter.classes, 0)
    with RasterReader(file, allow_references, segmenter.reader) as raster:
        size = (raster.height, raster.width)
        small = raster.preview(_MAX_SIDE)
        # The rows and columns that are shown in the preview.
        rows, columns = ((2 * np.arange(s) + 1) * side // (2 * s) for s, side in zip(small.shape, size, strict=False))
        shown = np.full(small.shape[:2], IGNORED, np.uint16)
        place = results.folder / f"labels/{output}.tif"
        with LabelWriter(place, raster, len(segmenter.classes), segmenter.palette) as writer:
            for start, band in segmenter.bands(size, raster.rows):
                stop, labels = start + len(band), band.astype(writer.dtype)
                valid = raster.valid_rows(start, stop)
                for name, area in segmenter.areas(band if valid is None else band[valid]).items():
                    areas[name] += area
                inside = (rows >= start) & (rows < stop)
                there = np.ix_(rows[inside] - start, columns)
                shown[inside] = labels[there] if valid is None else np.where(valid[there], labels[there], IGNORED)
                if valid is not None:
                    labels[~valid] = writer.ignored
                writer.write(start, labels)
                advance(stop, size[0])
    shares = {name: area / max(sum(areas.values()), 1) for name, area in areas.items()}
    results.write_overlay(output, draw_labelled(small, shown, segmenter.classes, segmenter.palette, shares))
    results.add(file, output, [("", size, areas)])
    return raster.guessed


def _segment_video(segmenter: Segmenter, file: Path, output: str, results: ResultsFolder, advance: Advance) -> None:
    rows = []
    place = results.folder / f"overlays/{output}.mp4"
    with VideoReader(file) as video:
        size = (video.height, video.width)
        with VideoWriter(place, video.fps, *size) as writer:
            for number, frame in enumerate(video, start=1):
                found = segmenter(frame)
                results.write_labels(f"frames/{output}/{number:06d}.png", found.labels)
                writer.write(draw_overlay(frame, found.labels, segmenter.palette))
                if number == 1:
                    shares = {name: area / found.labels.size for name, area in found.areas.items()}
                    figure = draw_labelled(frame, found.labels, segmenter.classes, segmenter.palette, shares)
                    results.write_overlay(output, figure)
                rows.append((f"{number:06d}", size, found.areas))
                advance(number, max(video.frames, number))
    results.add(file, output, rows)
