"""``tools/prepare_dataset.py``: arguments, and what is printed."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from ...common.words import counted
from .colour_tables import read_classes
from .export import SourceError
from .find_format import find_format, list_formats
from .planning import Options
from .preparing import Prepared, check_out, prepare
from .reporting import next_step, write_report
from .source import Source
from .splitting import SPLITS, read_shares

_FAILURES_SHOWN = 10


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    found = argparse.ArgumentParser(
        description="Make a folder that trains (images, masks, classes.txt) of what a labelling tool exports.",
        epilog=f"Formats:\n{list_formats()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("source", type=Path, nargs="?", help="folder or file of the export; nothing is changed there")
    add("out", type=Path, nargs="?", help="folder to be made; a second run goes on")
    add("--list", action="store_true", help="list the formats and end")
    add("--format", help="the export's format, where it is not to be found out")
    add("--classes", type=Path, help="file of class names, one a line, with an optional colour")
    add("--images", type=Path, help="folder of the pictures, where the export has only their names")
    add(
        "--colour-distance", type=float, default=0, help="how far colours of masks may be from a class's to count as it"
    )
    add("--unlabelled", choices=("background", "ignore"), help="what pixels without a label become")
    add("--split", metavar="SHARES", help="shares of train, val and test, such as 0.8,0.1,0.1")
    add("--split-list", type=Path, nargs="+", default=[], metavar="FILE", help="train.txt, val.txt, test.txt: names")
    add("--group", metavar="REGEX", help="what keeps pictures in one split: a pattern in names, 'folder' or 'picture'")
    add("--seed", type=int, help="of the splits; by default the first that leaves none empty")
    add("--tile", type=int, metavar="PIXELS", help="cut larger pictures into squares at their own resolution")
    add("--overlap", type=int, default=0, metavar="PIXELS", help="of neighbouring tiles")
    add("--keep-empty", type=float, default=0.1, metavar="SHARE", help="of tiles with nothing but background (0.1)")
    add(
        "--split-tiles",
        choices=("pictures", "blocks"),
        default="pictures",
        help="what of a picture goes into one split",
    )
    add("--skip-bad", action="store_true", help="exit with 0 where pictures cannot be read")
    return found


def run(args: argparse.Namespace, console: Console) -> Prepared:
    """Prepare what the arguments say, print what was found, and write the report.

    Raises:
        SourceError: It cannot be prepared.
        FolderInUseError: Another run works in the folder.
        OSError: Something cannot be read or written.
    """
    if args.source is None or args.out is None:
        raise SourceError("Name the export and the folder to be made: python tools/prepare_dataset.py SOURCE OUT.")
    for what, path in (("SOURCE", args.source), ("--images", args.images), ("--classes", args.classes)):
        if path is not None and not path.exists():
            raise SourceError(f"{what} {path} is not there.")
    source = Source(args.source, args.classes, args.images, args.colour_distance)
    check_out(source, args.out)
    options = Options(
        unlabelled=args.unlabelled,
        shares=read_shares(args.split) if args.split is not None else None,
        lists=tuple(args.split_list),
        group=args.group,
        seed=args.seed,
        tile=args.tile,
        overlap=args.overlap,
        keep_empty=args.keep_empty,
        by_blocks=args.split_tiles == "blocks",
    )
    options.check()
    named = read_classes(args.classes) if args.classes else None
    module, why = find_format(source, args.format)
    name = module.__name__.rpartition(".")[2]
    console.print(f"{args.source} is read as {name}: {why}.", markup=False, highlight=False)
    export = module.read(source)
    with _progress(console) as begin:
        prepared = prepare(
            export, source, args.out, options, named, begin, lambda text: console.print(text, markup=False)
        )
    _print(prepared, console)
    return prepared


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int], Callable[[], object]]]:
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def begin(what: str, total: int) -> Callable[[], object]:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        yield begin


def _print(prepared: Prepared, console: Console) -> None:
    content = write_report(prepared)
    table = Table("id", "class", *SPLITS)
    total = {split: sum(one["pixels"][split] for one in content["classes"]) or 1 for split in SPLITS}
    for one in content["classes"]:
        shares = [f"{100 * one['pixels'][split] / total[split]:.2f} %" for split in SPLITS]
        table.add_row(str(one["id"]), escape(one["name"]), *shares)
    table.add_row("", "pictures", *(str(content["pictures"].get(split, 0)) for split in SPLITS), style="bold")
    console.print(table)
    for line in (f"Splits: {content['splits']}.", *content["notes"]):
        console.print(f"- {line}", markup=False, highlight=False)
    for name, reason in list(prepared.failed.items())[:_FAILURES_SHOWN]:
        console.print(f"{name} could not be prepared: {reason}", style="red", markup=False, highlight=False)
    done = sum(one.empty is None for one in prepared.written)
    step = next_step(content)
    told = f"{counted(done, 'picture')} in {prepared.out} ({prepared.new} new)." + (f" {step[0]}:" if step else "")
    console.print(told, markup=False, highlight=False)
    if step:
        console.print(step[1], markup=False, highlight=False, soft_wrap=True)


def check_failures(prepared: Prepared, skip: bool) -> None:
    """End with an error where pictures could not be prepared.

    Args:
        prepared: What was done.
        skip: Whether that is as the user wants it.

    Raises:
        SourceError: There are some, and it is not.
    """
    if prepared.failed and not skip:
        raise SourceError(
            f"{counted(len(prepared.failed), 'picture')} could not be prepared (report.md names them); all others are "
            "done. Mend them and run again, which goes on, or add --skip-bad."
        )
