"""Classifying files, one after the other."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from .classifier import Classifier
from .files import Report
from .pictures import PictureError, read_picture
from .predictions import PredictionsFolder

_SHOWN = 20


def classify_files(
    classifier: Classifier,
    files: Sequence[Path],
    predictions: PredictionsFolder,
    *,
    top_k: int,
    console: Console | None = None,
) -> Report:
    """Classify pictures, and go on past those that cannot be read.

    Args:
        classifier: The model.
        files: What to classify.
        predictions: Where to; files that are done there are left out.
        top_k: How many classes to give.
        console: Where to show progress and the first predictions; the standard output if None.
    """
    console, report = console or Console(), Report()
    read: list[Path] = []
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        whole = progress.add_task("files", total=len(files))

        def pictures() -> Iterator[NDArray[Any]]:
            for file in files:
                if predictions.is_done(file):
                    report.skipped += 1
                else:
                    try:
                        picture = read_picture(file)
                    except PictureError as error:
                        report.failures.append((file, str(error)))
                    else:
                        read.append(file)
                        yield picture
                        continue
                progress.advance(whole)

        for found in classifier.iterate(pictures(), top_k=top_k):
            predictions.add(read[report.written], found)
            report.written += 1
            progress.advance(whole)
    for file in files[:_SHOWN]:
        if (row := predictions.row(file)) is not None:
            console.print(f"{file}: {_said(row)}", highlight=False, markup=False, soft_wrap=True)
    if len(files) > _SHOWN:
        console.print(f"... and {len(files) - _SHOWN} more in predictions.csv", highlight=False)
    predictions.write_contact_sheets(files)
    return report


def _said(row: dict[str, str]) -> str:
    """Names and probabilities of a row."""
    names = [(row[key], row[f"probability_{key[5:]}"]) for key in row if key.startswith("name_") and row[key]]
    return ", ".join(f"{name.partition(',')[0]} {float(probability):.1%}" for name, probability in names)
