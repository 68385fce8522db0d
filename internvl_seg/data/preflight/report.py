"""A preflight's report for people."""

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from .check import Histogram, Report
from .findings import KINDS


def _table(histogram: Histogram) -> Table:
    labelled = int(histogram.pixels.sum())
    total = labelled + histogram.ignored
    title = (
        f"{histogram.split}: {histogram.total} images, {histogram.ignored / max(total, 1):.1%} of their pixels ignored"
    )
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
        where = f" in {finding.where}" if finding.where else ""
        title = f"[bold {colour}]{kind.severity}: {finding.kind}[/]: {kind.meaning}, {finding.count}{where}"
        console.print(title, soft_wrap=True)
        for example in finding.examples:
            console.print(f"    {escape(example)}", highlight=False, soft_wrap=True)
        if finding.count > len(finding.examples):
            console.print(f"    and {finding.count - len(finding.examples)} more")
        console.print(f"    [green]mend[/]: {escape(finding.mend_sentence)}", soft_wrap=True)
    verdict = f"{len(report.findings)} findings" if report.findings else "Nothing found"
    console.print(f"{verdict} in {report.images} images, {report.seconds:.1f} s.")
