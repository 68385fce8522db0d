"""Probe a frozen encoder with many heads: python tools/probe.py CONFIG."""

import os
import signal

if __name__ == "__main__":  # Until all is imported, which takes seconds; then run_tool says how it ends.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"\nInterrupted.\n"), os._exit(130)))

import argparse
import sys

from internvl_seg import CheckpointError
from internvl_seg.common.finite import NonFiniteError
from internvl_seg.common.tools import exit_on, run_tool
from internvl_seg.data.folder import FolderError
from internvl_seg.data.folder_lock import FolderInUseError
from internvl_seg.data.own_words import OwnWordsError
from internvl_seg.data.preflight import DatasetError
from internvl_seg.probing import ProbeError, probe
from internvl_seg.probing.select_settings import SELECT_ON
from internvl_seg.training import ConfigError
from internvl_seg.training.config import add_allow, add_options


def main() -> None:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(description="Probe a frozen encoder: features once, heads many.")
    parser.add_argument("config", help="config file with a probe")
    parser.add_argument("--work-dir", help="folder for results; work_dirs/<config name> by default")
    parser.add_argument("--resume", action="store_true", help="go on from what a killed run left in the work folder")
    parser.add_argument("--stream", action="store_true", help="compute features when they are needed and keep none")
    parser.add_argument("--dry-run", action="store_true", help="only say how large the features would be")
    parser.add_argument(
        "--select-on",
        choices=SELECT_ON,
        help="choose heads on the validation images and score the chosen one on the test images (val), or choose on "
        "all folds of the validation images but one and score on that one (folds)",
    )
    add_allow(parser)
    add_options(parser)
    args = parser.parse_args()
    told = (ConfigError, FolderError, DatasetError, FolderInUseError, CheckpointError, ProbeError, NonFiniteError)
    try:
        with exit_on(*told, OwnWordsError):
            probe(
                args.config,
                work_dir=args.work_dir,
                resume=args.resume,
                stream=args.stream,
                dry_run=args.dry_run,
                select_on=args.select_on,
                allow=args.allow,
                options=args.cfg_options,
            )
    except OSError as error:  # A disk that is full, a folder that may not be written.
        sys.exit(f"{type(error).__name__}: {error}. What was written before stays: --resume goes on from it.")


if __name__ == "__main__":
    run_tool(main, "What is done stays: go on with --resume.")
