"""Draw loss and mIoU of training runs: python tools/plot_curves.py OUT.png WORK_DIR [WORK_DIR ...]."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
from pathlib import Path

from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.visualization.curves import NoLogError, draw_curves, read_scalars


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description="Draw loss and mIoU of training runs.")
    parser.add_argument("picture", type=Path, help="picture to write")
    parser.add_argument("work_dirs", type=Path, nargs="+", help="folders of runs; their names are shown")
    args = parser.parse_args()
    with exit_on(NoLogError):
        runs = {work_dir.name: read_scalars(work_dir) for work_dir in args.work_dirs}
    draw_curves(runs).savefig(args.picture, dpi=120)


if __name__ == "__main__":
    run_tool(main)
