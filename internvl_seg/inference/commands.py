"""What ``tools/infer.py`` calls."""

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ..data.folder_lock import locked_folder
from ..data.names import readable
from ..training.config import check_segmentation_options, is_segmentation, load_config
from ..training.results import sha256_of, versions
from .classifier import TOP_K, Classifier
from .classify_files import classify_files
from .files import RASTER_PIXELS, Report, segment_files
from .inputs import find_files, passed_over_in_words
from .predictions import PredictionsFolder
from .results import ResultsFolder
from .segmenter import Segmenter


def infer(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    inputs: Sequence[str | os.PathLike[str]],
    out: Path | None = None,
    *,
    resume: bool = False,
    tta: bool = False,
    device: str | None = None,
    raster_pixels: int = RASTER_PIXELS,
    top_k: int = TOP_K,
    allow_references: bool = False,
    options: dict[str, Any] | None = None,
    console: Console | None = None,
) -> Report:
    """Segment files with a trained model, or classify them, as the config says.

    A segmentor writes labels, overlays, areas and a contact sheet; a classifier a table and a contact sheet.
    Threads may not run it beside each other: a process does one at a time.

    Args:
        config: The config.
        checkpoint: A checkpoint of its model.
        inputs: Files, folders and globs, as :func:`internvl_seg.inference.inputs.find_files` takes them.
        out: Folder for the results, see :class:`internvl_seg.inference.results.ResultsFolder` and
            :class:`internvl_seg.inference.predictions.PredictionsFolder`; ``segmented`` or ``classified`` if None.
        resume: Leave out what is done there already; otherwise results that are there are moved into ``earlier_TIME/``.
        tta: Average over the scales and flips of the config's ``tta_pipeline``; rasters are seen once. Of segmentors.
        device: Where to compute; an accelerator if there is one.
        raster_pixels: Pixels from which a picture is read in parts. Of segmentors.
        top_k: How many classes to give. Of classifiers.
        allow_references: Whether a raster may be of a format that reads its pixels from other files or the network.
            Of segmentors.
        options: Dotted keys that replace values of the config.
        console: Where to show progress and what could not be read; the standard output if None.

    Returns:
        What became of the files.

    Raises:
        ConfigError: The config does not describe a segmentor or classifier.
        CheckpointError: The weights could not be read, or are another model's.
        InputError: An input names nothing.
        ResultsError: The run that is to be resumed had another model, files of no run are in the way, or nothing more
            can be written.
        OSError: The folder for the results cannot be written to.
        FolderInUseError: Another run writes its results there.
    """
    console, report = console or Console(), Report()
    resolved = load_config(config, options)
    segments = is_segmentation(resolved)
    out = out or Path("segmented" if segments else "classified")

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    files = find_files(
        inputs,
        leave_out=out,
        failed=lambda folder, why: report.failures.append((folder, why)),
        passed_over=report.passed_over.append,
    )
    run: dict[str, Any] = {
        "config": os.fspath(config),
        "resolved_config": resolved.pretty_text,
        "checkpoint": os.fspath(checkpoint),
    }
    identity = ["resolved_config", "checkpoint_sha256"]
    with locked_folder(out, "tools/infer.py", tell):
        if segments:
            segmenter = Segmenter.from_checkpoint(resolved, checkpoint, device=device, tta=tta)
            run |= _weights(checkpoint, segmenter.classes) | {"tta": tta, "raster_pixels": raster_pixels}
            identity += ["tta", "raster_pixels"]
            results = ResultsFolder(out, segmenter.classes, segmenter.palette, run, identity, resume, tell)
            start = time.perf_counter()  # The model is there.
            segment_files(
                segmenter,
                files,
                results,
                raster_pixels=raster_pixels,
                allow_references=allow_references,
                console=console,
                report=report,
            )
        else:
            check_segmentation_options(resolved, tta=tta)
            classifier = Classifier.from_checkpoint(resolved, checkpoint, device=device)
            top_k = min(top_k, len(classifier.classes))
            run |= _weights(checkpoint, classifier.classes) | {"top_k": top_k}
            predictions = PredictionsFolder(out, top_k, run, [*identity, "top_k"], resume, tell)
            start = time.perf_counter()
            classify_files(classifier, files, predictions, top_k=top_k, console=console, report=report)
    _tell(report, out, console, "segmented" if segments else "classified", time.perf_counter() - start)
    return report


def _weights(checkpoint: str | os.PathLike[str], classes: Sequence[str]) -> dict[str, Any]:
    """What ``run.json`` says of a model's weights."""
    digest = sha256_of(Path(checkpoint).expanduser())
    return {"checkpoint_sha256": digest, "classes": list(classes), "versions": versions()}


def _tell(report: Report, out: Path, console: Console, done: str, seconds: float) -> None:
    """Say what was written, what not and why, and how much time and memory it took."""
    before = f", {report.skipped} were done before" if report.skipped else ""
    count = f"{report.written} file{'' if report.written == 1 else 's'}"
    console.print(f"{count} {done}{before}: {readable(out)}", highlight=False, markup=False, soft_wrap=True)
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    took = f"{seconds:.1f} s without reading the model"
    console.print(f"Peak memory {peak / 2**30:.2f} GiB, {took}", highlight=False)
    if report.pages:
        console.print("Of several pages, frames or sizes, only the first or the largest was taken:", highlight=False)
        for file, pages in report.pages:
            console.print(f"  {readable(file)}: 1 of {pages}", highlight=False, markup=False, soft_wrap=True)
    if report.guessed:
        console.print("Bands 1, 2 and 3 of more were taken for red, green and blue, which the files do not say:")
        for file in report.guessed:
            console.print(f"  {readable(file)}", highlight=False, markup=False, soft_wrap=True)
    if report.passed_over:
        words = passed_over_in_words(report.passed_over)
        console.print(f"Passed over: {words}", highlight=False, markup=False, soft_wrap=True)
    if report.failures:
        console.print(f"[red]{len(report.failures)} could not be done:", highlight=False)
        for _, reason in report.failures:
            console.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)
