"""A preflight's report for people."""

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from ...common.words import counted
from .check import Histogram, Report
from .findings import KINDS


def _table(histogram: Histogram) -> Table:
    labelled = int(histogram.pixels.sum())
    total = labelled + histogram.ignored
    images = counted(histogram.total, "image")
    title = f"{histogram.split}: {images}, {histogram.ignored / max(total, 1):.1%} of all pixels ignored"
    table = Table("class", title=title)
    for name in ("pixels", "share", "images"):
        table.add_column(name, justify="right")
    table.add_column("")
    highest = int(histogram.pixels.max(initial=1))
    for name, pixels, images in zip(histogram.classes, histogram.pixels, histogram.images, strict=True):
        share = f"{pixels / max(labelled, 1):.2%}"
        bar = ProgressBar(total=highest, completed=int(pixels), width=24)
        table.add_row(escape(name), f"{pixels:,}", share, str(images), bar)
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
