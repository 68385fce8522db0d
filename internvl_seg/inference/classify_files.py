"""Classifying files, one after the other."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from ..data.names import readable
from .classifier import BATCH, Classifier
from .failures import give_memory_back, reason
from .files import Report
from .pictures import check_file, read_picture
from .predictions import PredictionsFolder

_SHOWN = 20


def classify_files(
    classifier: Classifier,
    files: Sequence[Path],
    predictions: PredictionsFolder,
    *,
    top_k: int,
    console: Console | None = None,
    report: Report | None = None,
) -> Report:
    """Classify pictures, and go on past those that cannot be read, whatever is raised.

    Args:
        classifier: The model.
        files: What to classify.
        predictions: Where to; files that are done there are left out.
        top_k: How many classes to give.
        console: Where to show progress and the first predictions; the standard output if None.
        report: What to add to; a new one if None.

    Raises:
        ResultsError: Nothing more can be written.
    """
    console, report = console or Console(), report or Report()
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        whole = progress.add_task("files", total=len(files))

        waiting = iter(files)
        while batch := list(islice(waiting, BATCH)):
            there = [file for file in batch if not predictions.is_done(file)]
            report.skipped += len(batch) - len(there)
            _classify(classifier, there, predictions, top_k, report)
            progress.advance(whole, len(batch))
    for file in files[:_SHOWN]:
        if (row := predictions.row(file)) is not None:
            console.print(f"{readable(file)}: {_said(row)}", highlight=False, markup=False, soft_wrap=True)
    if len(files) > _SHOWN:
        console.print(f"... and {len(files) - _SHOWN} more in predictions.csv", highlight=False)
    predictions.write_contact_sheets(files)
    return report


def _classify(
    classifier: Classifier, files: Sequence[Path], predictions: PredictionsFolder, top_k: int, report: Report
) -> None:
    """Classify pictures at once; if that fails, in two halves, until it is known which of them it is."""
    try:
        for file in files:
            check_file(file)
        found = list(classifier.iterate([read_picture(file) for file in files], top_k=top_k, batch_size=len(files)))
        for file, classification in zip(files, found, strict=True):
            predictions.add(file, classification)
            report.add(file)
    except Exception as error:
        if len(files) == 1:
            report.failures.append((files[0], reason(error, files[0], predictions.folder)))
            return
    else:
        return
    give_memory_back()
    done = [file for file in files if not predictions.is_done(file)]
    for half in (done[: len(done) // 2], done[len(done) // 2 :]):
        _classify(classifier, half, predictions, top_k, report)


def _said(row: dict[str, str]) -> str:
    """Names and probabilities of a row."""
    names = [(row[key], row[f"probability_{key[5:]}"]) for key in row if key.startswith("name_") and row[key]]
    return ", ".join(f"{name.partition(',')[0]} {float(probability):.1%}" for name, probability in names)
