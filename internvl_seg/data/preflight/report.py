"""A preflight's report for people."""

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from ...common.words import counted
from .check import Histogram, Report
from .findings import KINDS


def _table(histogram: Histogram) -> Table:
    is_dense = histogram.pixels.size > 0
    counts = histogram.pixels if is_dense else histogram.images
    labelled = int(counts.sum())
    title = f"{histogram.split}: {counted(histogram.total, 'image')}"
    if is_dense:
        title += f", {histogram.ignored / max(labelled + histogram.ignored, 1):.1%} of all pixels ignored"
    table = Table("class", title=title)
    for name in ("pixels", "share", "images") if is_dense else ("images", "share"):
        table.add_column(name, justify="right")
    table.add_column("")
    highest = int(counts.max(initial=1))
    for name, number, images in zip(histogram.classes, counts, histogram.images, strict=True):
        numbers = [f"{number:,}", f"{number / max(labelled, 1):.2%}", *([str(images)] if is_dense else [])]
        table.add_row(escape(name), *numbers, ProgressBar(total=highest, completed=int(number), width=24))
    return table


def print_report(report: Report, console: Console) -> None:
    """Print the histograms, then every finding with its mend.

    Args:
        report: The report.
        console: Where to.
    """
    for histogram in report.histograms:
        console.print(_table(histogram))
    for finding in report.findings:
        kind = KINDS[finding.kind]
        colour = "red" if kind.severity == "error" else "yellow"
        title = f"[bold {colour}]{kind.severity}: {finding.kind}[/]: {kind.meaning}: {finding.counted}"
        console.print(title, soft_wrap=True)
        for example in finding.examples:
            console.print(f"    {escape(example)}", highlight=False, soft_wrap=True)
        if finding.count > len(finding.examples):
            console.print(f"    and {finding.count - len(finding.examples)} more")
        console.print(f"    [green]mend[/]: {escape(finding.mend_sentence)}", soft_wrap=True)
    if not report.findings:
        console.print(f"Nothing found in {counted(report.images, 'image')}, {report.seconds:.1f} s.")
        return
    errors = sum(finding.severity == "error" for finding in report.findings)
    told = f"{counted(errors, 'error')} and {counted(len(report.findings) - errors, 'warning')}"
    console.print(f"Found {told}, looking at {counted(report.images, 'image')} for {report.seconds:.1f} s.")
