"""Make a folder that trains of what a labelling tool exports: python tools/prepare_dataset.py SOURCE OUT."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

from rich.console import Console

from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.exports.commands import check_failures, parser, run
from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.find_format import list_formats
from internvl_seg.data.folder_lock import FolderInUseError
from internvl_seg.visualization.prepared_sheets import write_prepared_sheets


def main() -> None:
    """Parse the command line, prepare, and draw a page of what came out."""
    args = parser().parse_args()
    if args.list:
        print(list_formats())
        return
    with exit_on(SourceError, FolderInUseError):
        prepared = run(args, Console())
        write_prepared_sheets(prepared.out, prepared.written, prepared.ids.classes)
        check_failures(prepared, args.skip_bad)


if __name__ == "__main__":
    run_tool(main, "What was prepared stays; the same command goes on.")
